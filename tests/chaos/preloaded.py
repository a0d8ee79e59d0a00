"""Libraries that are preloaded into commands, where there is a compiler and a way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def library(folder: Path, name: str) -> Path:
    """Compile a source beside this file into `folder`; skip the test where that cannot be."""
    if sys.platform != "linux":
        pytest.skip("only Linux preloads libraries in this way")
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    built = folder / f"{name}.so"
    done = subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", built, Path(__file__).with_name(f"{name}.c"),
         "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"the compiler cannot make it: {done.stderr.splitlines()[0]}")
    return built
