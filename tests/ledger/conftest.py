"""Ledgers of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.ledger.ledger import Ledger
from tests.ledgers import fast_folder, open_ledger


@pytest.fixture
def path() -> Iterator[Path]:
    """Return where the ledger is: alone in a folder."""
    with fast_folder() as folder:
        yield folder / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Return an empty ledger."""
    with open_ledger(path) as opened:
        yield opened
