"""Days in order, and how far each is."""

from __future__ import annotations

from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DayState, State
from tests.ledgers import list_rows, row, stored

DAY = 86_400_000


def test_days_are_in_order_and_the_unknown_one_is_last(ledger: Ledger) -> None:
    times = [3 * DAY, None, 0, DAY - 1, 20_000 * DAY, DAY]
    list_rows(ledger, [row(number, time) for number, time in enumerate(times)])
    days = ["1970-01-01", "1970-01-02", "1970-01-04", "2024-10-04", "unknown-date"]
    assert ledger.days.unsealed() == days
    assert ledger.days.all() == []
    ledger.save([stored(number) for number in range(1, 7)])
    assert ledger.days.all() == days


def test_days_without_a_saved_image_have_no_tar(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, 0), row(2, DAY), row(3, 2 * DAY)])
    ledger.settle([1], State.GONE)
    ledger.save([stored(2, damaged=True), stored(3)])
    assert ledger.days.all() == ["1970-01-02", "1970-01-03"]


def test_outside_images_make_no_days(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, 0, outside=True)])
    assert ledger.days.unsealed() == []


def test_sealed_days_are_done_until_an_image_is_saved(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, 0), row(2, DAY), row(3, 0)])
    ledger.save([stored(1), stored(2)])
    ledger.days.set_state("1970-01-01", DayState.SEALING)
    assert ledger.days.unsealed() == ["1970-01-01", "1970-01-02"]
    for _ in range(2):
        ledger.days.set_state("1970-01-01", DayState.SEALED)
        assert ledger.days.unsealed() == ["1970-01-02"]
    list_rows(ledger, [row(4, 0)])  # listed alone it changes nothing yet
    assert ledger.days.unsealed() == ["1970-01-02"]
    ledger.save([stored(3)])
    assert ledger.days.unsealed() == ["1970-01-01", "1970-01-02"]
    state = ledger.database.value("SELECT state FROM days WHERE day = '1970-01-01'")
    assert state == DayState.OPEN
