"""What an adoption found: how many of each, and each by name in a file."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Self

from mapillary_crawler.quoting import printable

#: Names that are told of each kind; all are in the file.
_TOLD = 10


class Finding(StrEnum):
    """What can be wrong with a collection of mapillary_downloader."""

    LOST = "listed, but in no tar and no folder"
    UNREADABLE = "unreadable"
    UNLISTED = "saved, but not in its metadata"
    AGAIN = "saved twice"
    FOREIGN = "no image of the collection"
    DAMAGED_TAR = "tars that cannot be read to their end"
    METADATA = "trouble with its metadata"


class Findings:
    """Counts, the first few names, and a file with all of them; used as a context.

    `again` reads what an adoption that was interrupted had found.
    """

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self._path = path
        self._again = again
        self.counts: Counter[Finding] = Counter()
        self._first: dict[Finding, list[str]] = {}

    def __enter__(self) -> Self:
        before = self._path.read_text(encoding="utf-8").splitlines() if self._again else []
        self._file = self._path.open("w", encoding="utf-8")
        for line in before:
            entry = json.loads(line)
            self.note(Finding[entry["finding"].upper()], entry["name"], entry["why"])
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def note(self, finding: Finding, name: str, why: str | None = None) -> None:
        """Note one thing by its name: an image's id, a member, a file."""
        self.counts[finding] += 1
        first = self._first.setdefault(finding, [])
        if len(first) < _TOLD:
            first.append(printable(f"{name} ({why})" if why else name))
        entry = {"finding": finding.name.lower(), "name": name, "why": why}
        self._file.write(json.dumps(entry) + "\n")

    def lines(self) -> list[str]:
        """Return what a person is told."""
        lines = []
        for finding in Finding:
            if self.counts[finding]:
                names = ", ".join(self._first[finding])
                more = ", …" if self.counts[finding] > _TOLD else ""
                lines.append(f"{self.counts[finding]:,} {finding.value}: {names}{more}")
        return lines
