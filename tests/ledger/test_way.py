"""In which order images are fetched once all are listed, and read for their tars."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.collection.names import member_path, sequence_part
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, ListedRow, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import fresh_ledger, list_rows, row, stored

DAY = 86_400_000
NOW = 1_000.0

plain = st.text("abUu019-", min_size=1, max_size=4)
#: With all that a path holds otherwise: dots, escapes, what is cut.
odd = st.text("aüu_.0/ -", min_size=1, max_size=4).filter(str.strip) | st.just("u" * 120)
times = st.none() | st.integers(0, 2).map(lambda day: day * DAY)


def listed(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[ListedRow]]:
    """Return rows of some days, each id once."""
    sequences = (st.just("") | names).map(sequence_part)
    rows = st.tuples(names, times, sequences)
    return st.lists(rows, unique_by=lambda listed: listed[0], max_size=30).map(
        lambda rows: [row(name, at, sequence=sequence) for name, at, sequence in rows]
    )


def by_member(listed: ListedRow) -> tuple[str, bytes]:
    """Design: dated first, ascending; within a day in the order of members, bytewise."""
    member = member_path(listed.day, listed.sequence, listed.image_id, "jpg")
    return listed.day, member.encode()


def draw(ledger: Ledger, limit: int = 100, now: float = NOW) -> list[str]:
    return [image.image_id for image in ledger.queue.draw(now, limit, by_day=True)]


@settings(max_examples=80)
@given(listed(plain), st.integers(1, 7))
def test_images_are_drawn_by_day_and_member(rows: list[ListedRow], limit: int) -> None:
    with fresh_ledger() as ledger:
        list_rows(ledger, rows)
        ledger.listing.close()
        found: list[str] = []
        while some := draw(ledger, limit):
            found += some
        assert found == [one.image_id for one in sorted(rows, key=by_member)]


@settings(max_examples=80)
@given(listed(odd), st.integers(1, 7))
def test_odd_names_are_drawn_by_day(rows: list[ListedRow], limit: int) -> None:
    with fresh_ledger() as ledger:
        list_rows(ledger, rows)
        ledger.listing.close()
        days = {one.image_id: one.day for one in rows}
        found: list[str] = []
        while some := draw(ledger, limit):
            found += some
        assert sorted(found) == sorted(days)
        assert [days[name] for name in found] == sorted(days.values())


@pytest.mark.parametrize("closed", [True, False])
@settings(max_examples=60)
@given(
    rows=listed(plain | odd | st.text("\0a")),
    extensions=st.lists(st.sampled_from(["jpg", "png"]), min_size=1),
)
def test_loose_images_are_in_the_order_of_their_members(
    closed: bool, rows: list[ListedRow], extensions: list[str]
) -> None:
    def extension(number: int) -> str:
        return extensions[number % len(extensions)]

    with fresh_ledger() as ledger:
        list_rows(ledger, rows)
        if closed:
            ledger.listing.close()
        files: list[Any] = [stored(number) for number in range(1, len(rows) + 1)]
        for file in files:
            object.__setattr__(file, "extension", extension(file.number))
        ledger.save(files)
        members = [record.member for record in streams.all_loose(LedgerHere(ledger))]
    assert members == sorted(
        (
            member_path(one.day, one.sequence, one.image_id, extension(number))
            for number, one in enumerate(rows, 1)
        ),
        key=str.encode,
    )


@pytest.fixture
def three_days(ledger: Ledger) -> Ledger:
    """Return a ledger of two undated images and two of each of two days, listed backwards."""
    times = [None, None, DAY, DAY, 0, 0]
    list_rows(ledger, [row(9 - n, at) for n, at in enumerate(times)])
    ledger.listing.close()
    return ledger


def test_what_failed_comes_behind_all_days(three_days: Ledger) -> None:
    assert draw(three_days, 3) == ["4", "5", "6"]
    three_days.queue.fail([FailedAttempt(6, "reset", NOW)])
    assert draw(three_days, 2) == ["7", "8"]
    assert draw(three_days, 2, NOW + 1) == ["9", "4"]
    assert draw(three_days, 2, NOW + 1) == []


def test_what_failed_in_an_earlier_run_comes_behind_all_days(three_days: Ledger) -> None:
    three_days.queue.fail([FailedAttempt(6, "reset", NOW)])
    three_days.start_run()
    assert draw(three_days) == ["5", "6", "7", "8", "9", "4"]


def test_what_is_put_back_keeps_its_place(three_days: Ledger) -> None:
    assert draw(three_days, 4) == ["4", "5", "6", "7"]
    three_days.queue.put_back([6, 4])
    assert draw(three_days) == ["4", "6", "8", "9"]


def test_what_was_settled_otherwise_is_left_out(three_days: Ledger) -> None:
    three_days.settle([6], State.GONE)
    three_days.save([stored(4)])
    assert draw(three_days) == ["5", "7", "8", "9"]


def test_what_is_wanted_again_is_found(three_days: Ledger) -> None:
    three_days.save([stored(number) for number in range(1, 7)])
    assert draw(three_days) == []
    three_days.images.unsettle([5], "lost")
    assert draw(three_days) == ["5"]


def test_renewed_images_are_drawn_once_and_only_if_due(three_days: Ledger) -> None:
    draw(three_days)
    queue = three_days.queue
    queue.renew({2: ("https://x/2", None), 5: ("https://x/5", None)})
    queue.renewed([1])  # still on its way
    queue.fail([FailedAttempt(2, "reset", NOW + 5)])
    assert [image.number for image in queue.draw_renewed(NOW, 1)] == []
    assert [image.number for image in queue.draw_renewed(NOW, 9)] == [5]
    assert queue.draw_renewed(NOW, 9) == []
    assert [image.number for image in queue.draw(NOW + 5, 9)] == [2]


def test_a_ledger_whose_listing_was_closed_by_another_version_gets_its_index(
    three_days: Ledger,
) -> None:
    three_days.database.execute("DROP INDEX images_by_member")
    assert not three_days.members.are_in_order("unknown-date")
    three_days.start_run()
    assert three_days.members.are_in_order("unknown-date")
