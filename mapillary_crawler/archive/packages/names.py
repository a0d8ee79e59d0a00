"""Pure: what lies in the shared folder of a collection that was handed out, by its names.

    {collection}/{generation}/cut.json
                              whole-{version}
                              open-{slice}-{version}, open-{slice}-{version}-waits-{whole's version}
                              ended-{slice}

A hand-out is a generation; the last one counts. Each name but the first is a package: a folder
that got its name when all in it was written and verified. Of several versions the last one counts,
and a slice that has ended has ended. So a name says all that who schedules needs to know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

#: Into what the collection is cut.
CUT = "cut.json"
#: In a package: the checksums of what it holds, and the folder that it was made of.
SUMS, FILES = "sums", "files"
#: What begins the name of what is being written, or is rubbish.
WRITING = ".writing-"
#: Digits of a number are fewer: names may be a stranger's.
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_GENERATION = re.compile(_NUMBER)
_PACKAGE = re.compile(
    rf"whole-(?P<whole>{_NUMBER})|ended-(?P<ended>{_NUMBER})"
    rf"|open-(?P<open>{_NUMBER})-(?P<version>{_NUMBER})(-waits-(?P<waits>{_NUMBER}))?"
)


class Kind(Enum):
    """What a package is of."""

    WHOLE = "whole"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Package:
    """What a name says: which slice, the how manieth of it or of the whole.

    `waits` is the version of the whole whose URLs were not fresh enough for it.
    """

    kind: Kind
    number: int = 0
    version: int = 0
    waits: int | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        if self.kind is Kind.WHOLE:
            return f"whole-{self.version}"
        if self.kind is Kind.ENDED:
            return f"ended-{self.number}"
        waits = "" if self.waits is None else f"-waits-{self.waits}"
        return f"open-{self.number}-{self.version}{waits}"


def read_package(name: str) -> Package | None:
    """Return what a name says; None for any other name."""
    found = _PACKAGE.fullmatch(name)
    if found is None:
        return None
    if found["whole"]:
        return Package(Kind.WHOLE, version=int(found["whole"]))
    if found["ended"]:
        return Package(Kind.ENDED, int(found["ended"]))
    waits = found["waits"]
    return Package(
        Kind.OPEN, int(found["open"]), int(found["version"]), None if waits is None else int(waits)
    )


def read_generation(name: str) -> int | None:
    """Return the number of a generation; None for any other name."""
    return int(name) if _GENERATION.fullmatch(name) else None
