"""What of a collection is on archive.org, here, and waits: from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.on_archive_org import OnArchiveOrg, on_archive_org
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Piece, PieceState
from tests.archive.finish.made import add
from tests.archive.internet_archive.collections_made import ANN, make, pictures

ITEM = ANN.identifier


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open the ledger of a finished collection of four days, a tar each."""
    with closing(Ledger(make(tmp_path, 4) / LEDGER_PATH)) as ledger:
        yield ledger


def published(ledger: Ledger) -> list[Piece]:
    return [piece for piece in ledger.pieces.all() if not piece.name.startswith(".")]


def total(pieces: list[Piece]) -> int:
    return sum(piece.size or 0 for piece in pieces)


def test_nothing_is_said_before_an_upload_has_begun(ledger: Ledger) -> None:
    assert on_archive_org(ledger) is None
    ledger.facts.set(uploaders={})
    everything = published(ledger)
    assert on_archive_org(ledger) == OnArchiveOrg(
        (), 0, 0, len(everything), total(everything), total(everything), None
    )


def test_removed_is_there_and_not_here(ledger: Ledger) -> None:
    first, second, *rest = published(ledger)
    ledger.pieces.set_state(first.name, PieceState.REMOVED, ITEM)
    ledger.pieces.set_state(second.name, PieceState.UPLOADED, f"{ITEM}-vol02")
    assert on_archive_org(ledger) == OnArchiveOrg(
        items=(ITEM, f"{ITEM}-vol02"),
        files=2,
        size=total([first, second]),
        waiting_files=len(rest),
        waiting=total(rest),
        here=total([second, *rest]),
        verified_at=None,
    )


def test_verified_is_the_item_of_longest_ago(ledger: Ledger) -> None:
    first, second, *_ = published(ledger)
    ledger.pieces.set_state(first.name, PieceState.UPLOADED, ITEM)
    ledger.pieces.set_state(second.name, PieceState.UPLOADED, f"{ITEM}-vol02")
    for facts, at in (
        ({ITEM: 100.0}, None),
        ({ITEM: 100.0, f"{ITEM}-vol02": 50.5}, 50.5),
        ({ITEM: 100.0, f"{ITEM}-vol02": 50.5, "of-a-name-before": 1.0}, 50.5),
    ):
        ledger.facts.set(verified=facts)
        found = on_archive_org(ledger)
        assert found is not None
        assert found.verified_at == at


def test_what_is_in_no_tar_is_here(tmp_path: Path) -> None:
    """Of a crawl that goes on: some of a day is loose, though days before it are in tars."""
    folder = make(tmp_path, 2)
    add(folder, pictures(3, first=2, size=1000))
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        everything = published(ledger)
        for piece in everything:
            ledger.pieces.set_state(piece.name, PieceState.REMOVED, ITEM)
        found = on_archive_org(ledger)
        assert found is not None
        assert (found.here, found.waiting) == (3000, 0)
