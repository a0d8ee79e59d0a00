"""Pages are committed whole, in order, once; the first listed row of an id wins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.ledger import listing as listing_module
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.pages import SLICE_ROWS
from mapillary_crawler.ledger.records import Committed, CursorLoop, CursorMoved, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import fresh_ledger, list_rows, open_ledger, row, stored


def snapshot(ledger: Ledger) -> dict[str, Any]:
    """Return everything that a page may change."""
    names = ("images", "unsettled", "pages", "cursors", "days", "facts", "balance")
    return {
        name: ledger.database.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
        for name in names
    }


def urls(ledger: Ledger) -> dict[str, tuple[str | None, int | None, bool]]:
    rows = ledger.database.execute(
        "SELECT id, url, expires, fresh FROM unsettled JOIN images USING (number)"
    )
    return {image_id: (url, expires, bool(fresh)) for image_id, url, expires, fresh in rows}


# Committing


def test_a_new_listing_stands_at_its_start(ledger: Ledger) -> None:
    position = ledger.listing.position()
    assert (position.cursor, position.ended, position.closed) == (None, False, False)
    assert (position.rows, position.resumed, position.again) == (0, False, False)
    assert position.seconds == 0


def test_a_page_brings_its_rows_and_its_cursor(ledger: Ledger) -> None:
    committed = ledger.listing.commit(None, "c1", [row(2), row(1, outside=True), row("x", None)])
    assert committed == Committed(new=3, known=0, outside=1)
    assert ledger.listing.position().cursor == "c1"
    assert ledger.listing.position().rows == 3
    assert ledger.images.listed() == 3
    assert ledger.queue.waiting() == 2
    assert ledger.images.balance().outside == 1
    assert [record.image_id for record in streams.in_order(LedgerHere(ledger))] == ["2", "x"]


def test_sequences_are_kept_with_their_page_or_not_at_all(ledger: Ledger) -> None:
    ledger.listing.commit(None, "c1", [row(1)], sequences={"b"})
    with pytest.raises(CursorMoved):
        ledger.listing.commit(None, "c2", [row(2)], sequences={"c"})
    assert ledger.listing.sequences() == {"b"}
    ledger.listing.commit("c1", "c2", [row(3)], sequences={"a", "b"})
    ledger.listing.start_round(again=True)
    assert ledger.listing.sequences() == {"a", "b"}


def test_outside_rows_are_ids_only(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, outside=True)])
    found = ledger.database.execute("SELECT * FROM images").fetchone()
    of_round = 0
    assert [value for value in found if value is not None] == [1, "1", State.OUTSIDE, of_round]
    assert ledger.database.value("SELECT count(*) FROM pages") == 0
    assert ledger.database.value("SELECT count(*) FROM days") == 0


def test_a_page_of_many_slices(ledger: Ledger) -> None:
    count = SLICE_ROWS * 10
    rows = [row(number, outside=number % 3 == 0) for number in range(count)]
    list_rows(ledger, rows)
    listed = {record.image_id: record for record in streams.in_order(LedgerHere(ledger))}
    assert set(listed) == {str(number) for number in range(count) if number % 3}
    for image_id, record in listed.items():
        assert json.loads(ledger.images.line(record))["id"] == image_id
    assert ledger.database.value("SELECT count(*) FROM pages") == 7


def test_a_page_for_a_cursor_that_was_left_is_not_committed(ledger: Ledger) -> None:
    ledger.listing.commit(None, "c1", [row(1)])
    before = snapshot(ledger)
    for asked in (None, "c0", "c2", ""):
        with pytest.raises(CursorMoved):
            ledger.listing.commit(asked, "c2", [row(2)])
    assert snapshot(ledger) == before
    ledger.listing.commit("c1", None, [row(2)])
    before = snapshot(ledger)
    with pytest.raises(CursorMoved):  # it has ended
        ledger.listing.commit(None, "c1", [row(3)])
    assert snapshot(ledger) == before


@pytest.mark.parametrize("back", ["c1", "c2", "c3"])
def test_of_a_page_that_leads_back_the_images_are_kept(back: str, ledger: Ledger) -> None:
    for number, (asked, following) in enumerate([(None, "c1"), ("c1", "c2"), ("c2", "c3")]):
        ledger.listing.commit(asked, following, [row(number)])
    before = ledger.listing.position()
    for _ in range(2):
        with pytest.raises(CursorLoop):
            ledger.listing.commit("c3", back, [row(9)])
        assert ledger.images.listed() == 4
    assert ledger.listing.position() == replace(before, seconds=ANY)
    ledger.listing.start_round(again=False)
    ledger.listing.commit(None, "c1", [row(9)])  # another round may go the same way


def test_a_page_that_cannot_be_written_changes_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_rows(ledger, [row(1)])
    before = snapshot(ledger)

    def fail(*arguments: Any) -> None:
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(ledger.listing, "_move", fail)
        with pytest.raises(OSError):  # noqa: PT011
            list_rows(ledger, [row(number) for number in range(1000)])
    assert snapshot(ledger) == before
    list_rows(ledger, [row(number) for number in range(1000)])
    for record in streams.in_order(LedgerHere(ledger)):
        assert json.loads(ledger.images.line(record))["id"] == record.image_id


def test_the_last_page_ends_the_listing_and_closing_closes_it(ledger: Ledger) -> None:
    ledger.listing.commit(None, None, [row(1)])
    position = ledger.listing.position()
    assert (position.cursor, position.ended, position.closed) == (None, True, False)
    ledger.listing.close()
    assert ledger.listing.position().closed


def test_empty_pages(ledger: Ledger) -> None:
    assert ledger.listing.commit(None, "c1", []) == Committed(0, 0, 0, idle=True)
    assert ledger.listing.commit("c1", None, []) == Committed(0, 0, 0, idle=True)
    assert ledger.listing.position().ended


# Known ids


def test_the_first_listed_row_wins(ledger: Ledger) -> None:
    first = row(1, 1000, make="first")
    list_rows(ledger, [first, row(1, 2000, make="twin"), row(2)])
    committed = list_rows(ledger, [row(1, 3000, sequence="other", make="later"), row(3)])
    assert committed == Committed(new=1, known=1, outside=0)
    record = next(
        record for record in streams.in_order(LedgerHere(ledger)) if record.image_id == "1"
    )
    assert (record.captured_at, record.sequence) == (1000, "s")
    assert ledger.images.line(record) == first.line


def test_also_if_it_was_outside(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, outside=True), row(2)])
    list_rows(ledger, [row(1), row(2, outside=True)])
    balance = ledger.images.balance()
    assert (balance.listed, balance.outside) == (1, 1)
    assert list(urls(ledger)) == ["2"]


def test_duplicates_within_a_page_count_once(ledger: Ledger) -> None:
    assert list_rows(ledger, [row(1)] * 5) == Committed(new=1, known=0, outside=0)
    assert ledger.listing.position().rows == 1


def test_listing_again_gives_unsettled_rows_the_page_s_urls(ledger: Ledger) -> None:
    list_rows(ledger, [row(1), row(2), row(3), row(4)])
    ledger.save([stored(2)])
    ledger.listing.start_round(again=True)
    list_rows(
        ledger,
        [row(1, url="https://x/1", expires=7), row(2, url="https://x/2"), row(3, url=None)],
    )
    assert urls(ledger) == {
        "1": ("https://x/1", 7, True),
        "3": ("https://cdn.example.org/3?oe=68B04FC4", 0x68B04FC4, False),
        "4": ("https://cdn.example.org/4?oe=68B04FC4", 0x68B04FC4, False),
    }


def test_more_ids_than_one_statement_asks_for(ledger: Ledger) -> None:
    count = listing_module._IDS_ASKED * 3 + 1
    rows = [row(number) for number in range(count)]
    assert list_rows(ledger, rows) == Committed(new=count, known=0, outside=0)
    assert list_rows(ledger, rows) == Committed(new=0, known=count, outside=0, idle=True)


@pytest.mark.parametrize(
    "image_id", ["", "'", '"; DROP TABLE images; --', "\x00", "a\x00b", "\ufffd", "é" * 500]
)
def test_ids_are_data(image_id: str, ledger: Ledger) -> None:
    list_rows(ledger, [row(image_id)])
    assert list_rows(ledger, [row(image_id), row(image_id + "x")]).known == 1
    assert {record.image_id for record in streams.in_order(LedgerHere(ledger))} == {
        image_id,
        image_id + "x",
    }


# URLs of a closed listing


def test_renewing_takes_urls_and_nothing_else(ledger: Ledger) -> None:
    ledger.listing.commit(None, None, [row(1), row(2), row(3, outside=True)])
    ledger.listing.close()
    ledger.save([stored(2)])
    before = {name: rows for name, rows in snapshot(ledger).items() if name != "unsettled"}
    fresh = [row(number, url="https://x/{}", expires=9) for number in (1, 2, 3, 4)]
    ledger.listing.renew(fresh)
    assert urls(ledger) == {"1": ("https://x/1", 9, True)}
    assert {name: rows for name, rows in snapshot(ledger).items() if name != "unsettled"} == before


def test_renewing_with_nothing(ledger: Ledger) -> None:
    list_rows(ledger, [row(1)])
    before = urls(ledger)
    ledger.listing.renew([])
    ledger.listing.renew([row(1, url=None)])
    assert urls(ledger) == before


# Rounds and runs


def test_a_round_starts_anew_and_keeps_what_is_known(ledger: Ledger) -> None:
    ledger.listing.commit(None, "c1", [row(1)])
    ledger.listing.commit("c1", None, [row(2)])
    ledger.listing.start_round(again=True)
    position = ledger.listing.position()
    assert (position.cursor, position.ended, position.rows, position.again) == (
        None, False, 0, True,
    )  # fmt: skip
    assert ledger.images.listed() == 2
    ledger.listing.commit(None, None, [row(1)])
    assert ledger.listing.position().rows == 1
    assert ledger.listing.position().again


def test_a_short_round_and_the_next_one_are_one_step(ledger: Ledger) -> None:
    """A crash between the two would let the round be believed that was doubted."""
    list_rows(ledger, [row(1), row(2)])
    ledger.listing.start_round(again=True)
    assert ledger.facts.get("listing_short") is None
    ledger.listing.commit(None, None, [row(1)])
    ledger.listing.start_round(again=True, short=True)
    assert (ledger.facts.get("listing_short"), ledger.listing.position().ended) == (1, False)


def test_a_listing_that_was_left_half_way_is_resumed(ledger: Ledger, path: Path) -> None:
    ledger.start_run()
    ledger.listing.commit(None, "c1", [row(1)])
    assert not ledger.listing.position().resumed
    with open_ledger(path) as second:
        second.start_run()
        position = second.listing.position()
        assert (position.cursor, position.resumed, position.rows) == ("c1", True, 1)
        second.listing.commit("c1", None, [row(2)])
        assert second.listing.position().resumed
        second.listing.start_round(again=True)
        assert not second.listing.position().resumed


@pytest.mark.parametrize("following", [None, "nothing committed"])
def test_a_listing_that_was_not_left_half_way_is_not(following: str | None, ledger: Ledger) -> None:
    ledger.start_run()
    if following is None:
        ledger.listing.commit(None, None, [row(1)])
    ledger.start_run()
    assert not ledger.listing.position().resumed


def test_how_long_a_round_took(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(listing_module.time, "time", lambda: clock[0])
    ledger.listing.commit(None, "c1", [row(1)])
    clock[0] += 4000
    assert ledger.listing.position().seconds == 4000
    ledger.listing.commit("c1", None, [row(2)])
    assert ledger.listing.position().seconds == 4000
    ledger.listing.start_round(again=True)
    clock[0] += 5
    assert ledger.listing.position().seconds == 5


def test_a_closed_listing_can_be_reopened(ledger: Ledger) -> None:
    ledger.listing.commit(None, None, [row(1)])
    ledger.listing.close()
    ledger.listing.reopen()
    position = ledger.listing.position()
    assert (position.closed, position.ended, position.cursor) == (False, False, None)
    ledger.listing.commit(None, None, [row(1), row(2)])
    assert ledger.images.listed() == 2


# Any order of pages: duplicates, late answers, loops

pages = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from([None, "a", "b", "c"]),
        st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(pages)
def test_whatever_pages_come_the_ledger_follows_one_path(
    answers: list[tuple[str | None, str | None, list[tuple[int, bool]]]],
) -> None:
    cursor, ended, seen = None, False, set()
    known: dict[str, bool] = {}
    with fresh_ledger() as ledger:
        for asked, following, ids in answers:
            rows = [row(number, outside=outside) for number, outside in ids]
            try:
                ledger.listing.commit(asked, following, rows)
            except CursorMoved:
                assert asked != cursor or ended
                continue
            except CursorLoop:
                assert following in seen
                for number, outside in ids:
                    known.setdefault(str(number), outside)
                continue
            assert (asked, ended) == (cursor, False)
            assert following not in seen
            cursor, ended = following, following is None
            seen |= {following} - {None}
            for number, outside in ids:
                known.setdefault(str(number), outside)
        assert ledger.listing.position().cursor == cursor
        assert ledger.images.listed() == len(known)
        assert ledger.images.balance().outside == sum(known.values())
        inside = {record.image_id for record in streams.in_order(LedgerHere(ledger))}
        assert inside == {name for name, outside in known.items() if not outside}
