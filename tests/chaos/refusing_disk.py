"""A disk that refuses: a library preloaded into commands, where there is a compiler and a way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class RefusingDisk:
    """The built library; `environment` has what makes a folder's disk refuse."""

    library: Path

    @classmethod
    def built(cls, folder: Path) -> RefusingDisk:
        """Compile it; skip the test where that cannot be."""
        if sys.platform != "linux":
            pytest.skip("only Linux preloads libraries in this way")
        compiler = shutil.which("cc") or pytest.skip("no C compiler")
        library = folder / "refusing_disk.so"
        done = subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"the compiler cannot make it: {done.stderr.splitlines()[0]}")
        return cls(library)

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
