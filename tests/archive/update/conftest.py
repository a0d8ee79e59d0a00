"""A quick disk for the tests of this folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return an empty folder, in memory where there is room: flushes take most of the time."""
    quick = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 500_000_000
    with tempfile.TemporaryDirectory(dir=MEMORY if quick else None) as folder:
        yield Path(folder)
