"""How many kills the series has: `--kills 50` is the long version."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Kills of the version that is part of all tests, and kills of one round.
KILLS, A_ROUND = 8, 4
#: Megabytes of the user that is larger than the disk, in that version.
ROOM = 45


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=KILLS, help="how often a crawl is killed")
    parser.addoption("--room", type=int, default=ROOM, help="megabytes of a user too large")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for it the number of each round and the kills in it."""
    if "round_number" in metafunc.fixturenames:
        # Without this folder among the arguments, this file comes too late to add options.
        kills: int = metafunc.config.getoption("--kills", KILLS)
        rounds = range(math.ceil(kills / A_ROUND))
        given = [(number, min(A_ROUND, kills - number * A_ROUND)) for number in rounds]
        metafunc.parametrize(("round_number", "kills"), given)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
