"""Pure: the identifiers of items, read from the right and checked by archive.org's rules.

`mapillary-{username}-{quality}[-webp|-jxl][-vol{NN}]`; a user name may itself hold `-` and end
like a quality, so only the right end says what an item is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mapillary_crawler.collection.names import QUALITIES, USERNAME_LENGTH, escape

_NAME = re.compile(
    rf"mapillary-(?P<user>.+)-(?P<quality>{'|'.join(QUALITIES)})(?P<encoding>-webp|-jxl)?"
    r"(?:-vol(?P<volume>[0-9]{2,}))?",
    re.DOTALL,
)
_ESCAPED = re.compile("_u([0-9a-f]{1,6})_")
_FOREIGN = re.compile("[^A-Za-z0-9._-]")
_SHORTEST, _LONGEST = 3, 100
_LAST_CODE_POINT = 0x10FFFF


@dataclass(frozen=True, slots=True)
class ArchivedName:
    """What an identifier says: whose images, in which quality, and which volume of them."""

    username: str
    quality: str
    webp: bool = False
    volume: int = 1
    jxl: bool = False

    @classmethod
    def parse(cls, identifier: str) -> ArchivedName | None:
        """Return what an identifier says, None if it is none of this family of tools."""
        found = _NAME.fullmatch(identifier)
        if found is None:
            return None
        return cls(
            username=unescape(found["user"]),
            quality=found["quality"],
            webp=found["encoding"] == "-webp",
            volume=int(found["volume"] or 1),
            jxl=found["encoding"] == "-jxl",
        )


def unescape(name: str) -> str:
    """Return the user name behind its part of an identifier (`collection.escape`).

    What that function never makes is a name of its own, and stays as it is.
    """

    def character(match: re.Match[str]) -> str:
        number = int(match[1], 16)
        return chr(number) if number <= _LAST_CODE_POINT else match[0]

    plain = _ESCAPED.sub(character, name)
    return plain if plain.isprintable() and escape(plain, USERNAME_LENGTH) == name else name


def volume_identifier(identifier: str, volume: int) -> str:
    """Return the identifier of a volume; the first has the bare one."""
    return identifier if volume == 1 else f"{identifier}-vol{volume:02d}"


def broken_rule(identifier: str) -> str | None:
    """Return the rule of archive.org that an identifier breaks, None if it breaks none."""
    if not _SHORTEST <= len(identifier) <= _LONGEST:
        return f"identifiers have {_SHORTEST} to {_LONGEST} characters, this one {len(identifier)}"
    if identifier[0] in "._-":
        return f"identifiers do not begin with '.', '_' or '-', this one with {identifier[0]!r}"
    foreign = _FOREIGN.search(identifier)
    if foreign:
        return (
            "identifiers consist of A-Z, a-z, 0-9, '.', '_' and '-', "
            f"this one has {foreign[0]!r} in it"
        )
    return None
