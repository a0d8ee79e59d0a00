"""A disk that refuses: a library preloaded into commands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.preloaded import library


@dataclass(frozen=True)
class RefusingDisk:
    """The built library; `environment` has what makes a folder's disk refuse."""

    library: Path

    @classmethod
    def built(cls, folder: Path) -> RefusingDisk:
        """Compile it; skip the test where that cannot be."""
        return cls(library(folder, "refusing_disk"))

    def environment(
        self, below: Path, *rules: str, room: int = 0, folds: bool = False
    ) -> dict[str, str]:
        """Return the variables of a command for which `below` lies on such a disk."""
        return {
            "LD_PRELOAD": str(self.library),
            "DISK_BELOW": os.path.realpath(below),
            "DISK_REFUSES": ",".join(rules),
            "DISK_ROOM": str(room),
            "DISK_FOLDS": "1" if folds else "",
        }


def rule(call: str, number: int, part: str = "") -> str:
    """Return a rule: what is refused, with which errno, for paths with `part` in them."""
    return f"{call}={number}@{part}" if part else f"{call}={number}"
