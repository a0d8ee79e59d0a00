"""Images one after another, read a batch at a time while the ledger does other work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere, LedgerThread
from tests.ledgers import list_rows, row, stored

DAY = 86_400_000


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BATCH", 3)


def two_days(ledger: Ledger) -> None:
    list_rows(ledger, [row(n, (n % 2) * DAY + n) for n in range(20)])
    ledger.save([stored(number) for number in range(1, 21)])


def ids(records: Iterator[Any]) -> list[int]:
    return [int(record.image_id) for record in records]


IN_ORDER = [*range(0, 20, 2), *range(1, 20, 2)]


def test_streams_do_not_disturb_each_other(ledger: Ledger) -> None:
    two_days(ledger)
    access = LedgerHere(ledger)
    one, other = streams.in_order(access), streams.loose(access, "1970-01-02")
    pairs = list(zip(one, other, strict=False))
    assert ids(iter([first for first, _ in pairs])) == IN_ORDER[:10]
    assert [second.member for _, second in pairs] == sorted(
        f"1970-01-02/s/{n}.jpg" for n in range(1, 20, 2)
    )


def test_what_is_not_read_to_its_end_is_forgotten(ledger: Ledger) -> None:
    two_days(ledger)
    access = LedgerHere(ledger)
    for _ in range(5):
        next(streams.loose(access, "1970-01-02"))
    assert ids(streams.in_order(access)) == IN_ORDER
    assert ledger.database.value("SELECT count(*) FROM arranged") <= 20


def test_images_in_another_days_folder_keep_their_place(ledger: Ledger) -> None:
    two_days(ledger)
    ledger.database.execute("UPDATE images SET day = '1970-01-02' WHERE id = '4'")
    ledger.facts.set(adopted={"tool": "another"})
    assert ids(streams.in_order(LedgerHere(ledger))) == IN_ORDER


def test_the_ledger_works_for_others_between_two_batches(path: Path) -> None:
    thread = LedgerThread(path)
    try:
        thread.wait_for(two_days)
        read = streams.lines_in_order(thread)
        next(read)
        assert thread.wait_for(lambda ledger: ledger.images.balance().saved) == 20
        assert [line for _, line in read][-1].startswith(b'{"id":"19"')
    finally:
        thread.close()


def test_what_is_sealed_meanwhile_is_read_on(ledger: Ledger) -> None:
    two_days(ledger)
    read = streams.loose(LedgerHere(ledger), "1970-01-02")
    first = next(read)
    piece = ledger.pieces.start_tar("1970-01-02.tar", "1970-01-02", 0)
    ledger.pieces.seal_tar(piece, [(first.number, 512)])
    assert len(list(read)) == 9
