"""A real PostgreSQL server for all tests of this folder that want one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.fleet import Fleet
from tests.workers.postgres import Postgres, binaries, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a server; it is skipped where none is installed."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    with running(programs) as server:
        yield server


@pytest.fixture
def queue_address(postgres: Postgres) -> str:
    """Return the address of an empty database."""
    return postgres.new_database()


@pytest.fixture
def fleet(tmp_path: Path, queue_address: str) -> Fleet:
    """Return workers whose crawls are played, on a queue of their own."""
    return Fleet(tmp_path, queue_address)
