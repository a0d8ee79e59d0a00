"""What an adoption found: how many of each, and each by name in a file."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Self

from mapillary_crawler.collection.durable import flush
from mapillary_crawler.terminal.quoting import printable

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

    `read` gives what an adoption that was interrupted had found.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counts: Counter[Finding] = Counter()
        self._first: dict[Finding, list[str]] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the findings of a file, which stays as it is."""
        findings = cls(path)
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            findings._count(Finding[entry["finding"].upper()], entry["name"], entry["why"])
        return findings

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def note(self, finding: Finding, name: str, why: str | None = None) -> None:
        """Note one thing by its name: an image's id, a member, a file."""
        self._count(finding, name, why)
        entry = {"finding": finding.name.lower(), "name": name, "why": why}
        self._file.write(json.dumps(entry).encode() + b"\n")

    def flush(self) -> None:
        """Bring what was noted to the disk."""
        flush(self._file, self._path)

    def _count(self, finding: Finding, name: str, why: str | None) -> None:
        self.counts[finding] += 1
        first = self._first.setdefault(finding, [])
        if len(first) < _TOLD:
            first.append(printable(f"{name} ({why})" if why else name))

    def lines(self) -> list[str]:
        """Return what a person is told."""
        lines = []
        for finding in Finding:
            if self.counts[finding]:
                names = ", ".join(self._first[finding])
                more = ", …" if self.counts[finding] > _TOLD else ""
                lines.append(f"{self.counts[finding]:,} {finding.value}: {names}{more}")
        return lines
