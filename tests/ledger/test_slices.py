"""Into what a ledger is cut: whole days, each in one slice, whoever crawls them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, Slice, SliceMismatch
from tests.ledgers import fresh_ledger, list_rows, row, stored

DAY = 86_400_000
#: Listed and of these still wanted images of each day; the last day are those without a date.
DAYS = st.lists(
    st.integers(1, 6).flatmap(lambda images: st.tuples(st.just(images), st.integers(0, images))),
    min_size=1,
    max_size=12,
)


def listed(ledger: Ledger, days: list[tuple[int, int]], *, undated: bool = True) -> None:
    """List images of some days, and save all but those that are still wanted."""
    rows, saved = [], []
    for place, (images, wanted) in enumerate(days):
        is_undated = undated and place == len(days) - 1
        for each in range(images):
            rows.append(row(len(rows), None if is_undated else place * DAY + each))
            saved += [len(rows)] * (each >= wanted)
    list_rows(ledger, rows)
    ledger.listing.close()
    ledger.save([stored(number) for number in saved])


def days_of(ledger: Ledger, part: Slice) -> list[tuple[str, int, int]]:
    """Return a slice's days, with their listed and their wanted images."""
    return ledger.database.execute(
        "SELECT day, count(*), sum(state = 0) FROM images WHERE day BETWEEN ? AND ? "
        "GROUP BY day ORDER BY day",
        (part.first_day, part.last_day),
    ).fetchall()


@given(DAYS, st.integers(1, 12), st.booleans())
def test_each_day_is_in_one_slice(days: list[tuple[int, int]], size: int, undated: bool) -> None:
    with fresh_ledger() as ledger:
        listed(ledger, days, undated=undated)
        count = ledger.slices.cut(size, "1")
        slices = ledger.slices.all()
        assert [part.number for part in slices] == list(range(1, count + 1))
        of_slices = [days_of(ledger, part) for part in slices]
        assert [day for each in of_slices for day, *_ in each] == [
            day for (day,) in ledger.database.execute("SELECT day FROM days ORDER BY day")
        ]
        assert [part.images for part in slices] == [
            sum(images for _, images, _ in each) for each in of_slices
        ]
        wanted = [[of_day for *_, of_day in each if of_day] for each in of_slices]
        assert all(wanted) or count == 1
        assert all(sum(each) <= size * 5 // 4 or len(each) == 1 for each in wanted)
        most = max((sum(each) for each in wanted if len(each) > 1), default=0)
        for each, following in pairwise(wanted):  # none is larger for want of days in another
            assert sum(each) + following[0] > most
        assert not ledger.slices.may_be_cut(size)


@pytest.mark.parametrize(
    ("days", "slices"),
    [
        ([1] * 21, [11, 10]),
        ([1] * 51, [17, 17, 17]),
        ([1] * 101, [21, 21, 21, 21, 17]),
        ([1] * 160, [20] * 8),
        ([15] * 4, [15] * 4),
        ([15, 1, 15, 1, 15], [16, 16, 15]),
        ([39, 2, 39], [39, 2, 39]),
    ],
    ids=[
        "a bit more",
        "two and a half",
        "one more",
        "eight",
        "large days",
        "and small ones",
        "too large",
    ],
)
def test_slices_are_alike_without_a_small_rest(
    ledger: Ledger, days: list[int], slices: list[int]
) -> None:
    """Each costs a start, and who has several at work waits for the last."""
    listed(ledger, [(images, images) for images in days], undated=False)
    ledger.slices.cut(20, "1")
    assert [part.images for part in ledger.slices.all()] == slices


def test_only_what_is_large_and_closed_is_cut(ledger: Ledger) -> None:
    list_rows(ledger, [row(number, number * DAY) for number in range(6)])
    assert not ledger.slices.may_be_cut(3)
    ledger.listing.close()
    assert ledger.slices.may_be_cut(5)
    assert not ledger.slices.may_be_cut(6)
    ledger.save([stored(1)])
    assert not ledger.slices.may_be_cut(5)
    assert ledger.slices.may_be_cut(4)


def test_one_day_is_not_cut(ledger: Ledger) -> None:
    list_rows(ledger, [row(number) for number in range(6)])
    ledger.listing.close()
    assert not ledger.slices.may_be_cut(3)


@pytest.mark.parametrize("fact", ["adopted", "days_differ", "updating"])
def test_what_is_no_plain_crawl_is_not_cut(ledger: Ledger, fact: str) -> None:
    listed(ledger, [(3, 3)] * 4)
    assert ledger.slices.may_be_cut(5)
    ledger.facts.set(**{fact: {"a": 1}})
    assert not ledger.slices.may_be_cut(5)


@pytest.mark.parametrize("state", [PieceState.UPLOADED, PieceState.REMOVED, PieceState.LOST])
def test_what_has_tars_elsewhere_is_not_cut(ledger: Ledger, state: PieceState) -> None:
    listed(ledger, [(3, 3)] * 4)
    ledger.pieces.start_tar("2024-01-01.tar", "2024-01-01", 0)
    assert ledger.slices.may_be_cut(5)
    ledger.pieces.set_state("2024-01-01.tar", state)
    assert not ledger.slices.may_be_cut(5)


def test_images_are_those_listed(ledger: Ledger) -> None:
    listed(ledger, [(3, 3)] * 4)
    ledger.slices.cut(5, "1")
    ledger.slices.ensure_sum()
    ledger.database.execute("UPDATE slices SET images = images - 1 WHERE number = 1")
    with pytest.raises(SliceMismatch, match="11 images, listed are 12"):
        ledger.slices.ensure_sum()
