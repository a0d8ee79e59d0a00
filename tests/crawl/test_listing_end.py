"""What follows on a listing's last page."""

from __future__ import annotations

import pytest

from mapillary_crawler.crawl.listing_end import Step, next_step
from mapillary_crawler.ledger.records import Position


def position(
    *, rows: int = 100, seconds: float = 10, resumed: bool = False, again: bool = False
) -> Position:
    return Position(
        cursor=None,
        ended=True,
        closed=False,
        rows=rows,
        seconds=seconds,
        resumed=resumed,
        again=again,
    )


@pytest.mark.parametrize(
    ("ended", "known", "short_before", "step"),
    [
        # at once, within the hour
        (position(), 100, None, Step.CLOSE),
        (position(rows=0), 0, None, Step.CLOSE),
        (position(seconds=3600), 100, None, Step.CLOSE),
        # late uploads land behind the cursor of a listing that takes long
        (position(seconds=3601), 100, None, Step.LONG),
        (position(seconds=3601, again=True), 100, None, Step.CLOSE),
        (position(resumed=True), 100, None, Step.RESUMED),
        (position(resumed=True, seconds=3601), 100, None, Step.RESUMED),
        (position(resumed=True, again=True), 100, None, Step.CLOSE),
        # fewer rows than the ledger has: try again, believe it the second time
        (position(rows=99), 100, None, Step.SHORT),
        (position(rows=0), 100, None, Step.SHORT),
        (position(rows=99, again=True), 100, None, Step.SHORT),
        (position(rows=98, again=True), 100, 99, Step.SHORT),
        (position(rows=99, again=True), 100, 99, Step.CLOSE),
        (position(rows=99, seconds=3601), 100, 99, Step.LONG),
        (position(rows=100, again=True), 100, 99, Step.CLOSE),
        # more rows than ids: duplicates
        (position(rows=101), 100, None, Step.CLOSE),
    ],
)
def test_steps(ended: Position, known: int, short_before: int | None, step: Step) -> None:
    assert next_step(ended, known=known, short_before=short_before) is step


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("rows", [0, 60, 100, 140])
def test_a_service_that_stays_the_same_is_listed_at_most_twice_more(
    rows: int, resumed: bool
) -> None:
    ended, short_before, rounds = position(rows=rows, seconds=9999, resumed=resumed), None, 0
    while True:
        step = next_step(ended, known=100, short_before=short_before)
        if step is Step.CLOSE:
            break
        if step is Step.SHORT:
            short_before = ended.rows
        ended = position(rows=rows, seconds=9999, again=True)
        rounds += 1
    assert rounds == 1
