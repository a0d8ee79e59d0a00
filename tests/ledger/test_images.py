"""The balance is kept by the tables, and manifests come in the order of the design."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import CAPTURE_TIME_END, member_path
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.images import manifest_place
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import fresh_ledger, list_rows, row, stored


@pytest.fixture
def five(ledger: Ledger) -> Ledger:
    """Return a ledger with the images 1 to 5, the first of which is the newest."""
    list_rows(ledger, [row(number, 1705276800000 - number) for number in range(1, 6)])
    return ledger


def assert_true_balance(ledger: Ledger) -> Balance:
    """Count the rows themselves, and compare with what the triggers keep."""
    recounted = ledger.survey.recount()
    assert {state: kept for state, kept in ledger.survey.kept().items() if kept[0]} == recounted
    balance = ledger.images.balance()
    assert balance.listed + balance.outside == ledger.images.listed()
    unsettled = ledger.database.value("SELECT count(*) FROM unsettled")
    assert unsettled == balance.unsettled
    return balance


# Settling


def test_saving_records_the_file(five: Ledger) -> None:
    five.save([stored(2, 123), stored(3, 45, damaged=True)])
    balance = assert_true_balance(five)
    assert (balance.saved, balance.damaged, balance.left) == (2, 1, 3)
    assert balance.bytes_saved == 168
    saved = {record.number: record for record in streams.in_order(LedgerHere(five))}
    file = stored(2, 123)
    assert (saved[2].state, saved[2].extension, saved[2].size) == (State.SAVED, "jpg", 123)
    assert (saved[2].sha256_served, saved[2].sha256_stored) == (
        file.sha256_served, file.sha256_stored,
    )  # fmt: skip
    assert saved[3].state is State.DAMAGED
    assert (saved[1].extension, saved[1].size, saved[1].sha256_stored) == (None, None, None)


@pytest.mark.parametrize(
    ("state", "count"),
    [(State.GONE, "gone"), (State.UNAVAILABLE, "unavailable"), (State.ACCEPTED, "accepted")],
)
def test_settling_without_a_file(state: State, count: str, five: Ledger) -> None:
    five.settle([1, 3], state)
    balance = assert_true_balance(five)
    assert getattr(balance, count) == 2
    assert balance.listed == 5
    assert balance.saved == 0


def test_saving_twice_counts_once(five: Ledger) -> None:
    five.save([stored(1, 10)])
    five.save([stored(1, 30)])
    balance = assert_true_balance(five)
    assert (balance.saved, balance.bytes_saved) == (1, 30)


def test_a_file_that_was_lost_is_wanted_again(five: Ledger) -> None:
    five.save([stored(1, 10), stored(2, 20)])
    five.images.unsettle([1], "checksum differs")
    balance = assert_true_balance(five)
    assert (balance.saved, balance.failed, balance.left, balance.bytes_saved) == (1, 1, 3, 20)
    assert ("1", "checksum differs", 0) in list(five.images.failures())
    image = five.queue.draw(0, 1)[0]
    assert (image.number, image.url, image.fresh) == (1, None, False)
    record = next(record for record in streams.in_order(LedgerHere(five)) if record.number == 1)
    assert (record.size, record.sha256_served, record.tar, record.offset) == (None,) * 4


def test_accepting_what_failed(five: Ledger) -> None:
    five.save([stored(1)])
    five.settle([2], State.GONE)
    five.images.accept_failed()
    balance = assert_true_balance(five)
    assert (balance.failed, balance.accepted, balance.left) == (3, 3, 0)
    assert five.queue.draw(1e12, 9) == []
    five.images.accept_failed()
    assert five.images.balance() == balance


def test_what_is_left_is_told_from_what_failed_in_any_run(five: Ledger) -> None:
    def failed_and_left() -> tuple[int, int]:
        balance = five.images.balance()
        return balance.failed, balance.left

    assert failed_and_left() == (0, 5)
    five.images.unsettle([1], "trouble")
    five.queue.fail([FailedAttempt(2, "reset", 1.0)])
    assert failed_and_left() == (2, 3)
    five.start_run()
    five.queue.renew({2: ("https://x/2", None)})
    assert failed_and_left() == (2, 3)
    five.save([stored(2), stored(3)])
    assert failed_and_left() == (1, 2)
    five.images.accept_failed()
    assert failed_and_left() == (3, 0)


def test_a_crash_in_a_batch_settles_none_of_it(
    five: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(five.images, "_forget", fail)
        with pytest.raises(OSError):  # noqa: PT011
            five.save([stored(1), stored(2)])
    assert assert_true_balance(five).saved == 0


def test_the_balance_of_nothing(ledger: Ledger) -> None:
    assert ledger.images.balance() == Balance()
    assert ledger.images.listed() == 0


steps = st.lists(
    st.tuples(
        st.sampled_from(["save", "damage", "gone", "unavailable", "unsettle", "accept", "list"]),
        st.lists(st.integers(1, 12), unique=True, max_size=4),
        st.integers(0, 10**12),
    ),
    max_size=25,
)


def do(ledger: Ledger, step: str, numbers: list[int], size: int) -> None:
    if step in {"save", "damage"}:
        ledger.save([stored(number, size, damaged=step == "damage") for number in numbers])
    elif step == "gone":
        ledger.settle(numbers, State.GONE)
    elif step == "unavailable":
        ledger.settle(numbers, State.UNAVAILABLE)
    elif step == "accept":
        ledger.images.accept_failed()
    elif step == "list":
        list_rows(ledger, [row(number) for number in numbers])
    else:
        ledger.images.unsettle(numbers, "trouble")


@settings(max_examples=60)
@given(steps)
def test_the_balance_is_true_after_every_step(
    taken: list[tuple[str, list[int], int]],
) -> None:
    with fresh_ledger() as ledger:
        list_rows(ledger, [row(number) for number in range(1, 13)])
        list_rows(ledger, [row(f"o{number}", outside=True) for number in range(3)])
        for step, numbers, size in taken:
            do(ledger, step, numbers, size)
            balance = assert_true_balance(ledger)
            assert (balance.listed, balance.outside) == (12, 3)


# The order of manifests

ids = (
    st.integers(0, 10**18).map(str)
    | st.sampled_from(["0", "00", "7", "07", "007", "10", "9", "99", "100", "-7", "1.5", "9" * 50])
    | st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
    | st.text("0123456789\x00a", min_size=1, max_size=4)
)
#: Ids as the service has them, for which there is a faster way.
numbers = st.integers(0, 2**64).map(str) | st.sampled_from(["0", str(2**63 - 1), str(2**63)])
times = st.none() | st.integers(0, 3) | st.integers(0, CAPTURE_TIME_END - 1)


def listings(ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, int | None]]]:
    return st.lists(st.tuples(ids, times), unique_by=lambda listed: listed[0], max_size=30)


def place(listed: tuple[str, int | None]) -> tuple[Any, ...]:
    """Design: dated first, by capture time, by id as an integer; no numbers last, bytewise."""
    image_id, captured_at = listed
    number = image_id.isascii() and image_id.isdecimal()
    value = int(image_id) if number else 0
    return captured_at is None, captured_at or 0, not number, value, image_id.encode()


@settings(max_examples=120)
@given(listings(ids) | listings(numbers))
def test_manifests_are_in_the_order_of_the_design(listed: list[tuple[str, int | None]]) -> None:
    with fresh_ledger() as ledger:
        list_rows(ledger, [row(*image) for image in listed])
        records = list(streams.in_order(LedgerHere(ledger)))
        assert [(record.image_id, record.captured_at) for record in records] == sorted(
            listed, key=place
        )
        assert records == sorted(records, key=manifest_place)
        saved = [record.number for record in records][::2]
        ledger.save([stored(number) for number in saved])
        assert [record.number for record in ledger.images.first_saved(3)] == saved[:3]


def test_numbers_of_any_length_are_numbers(ledger: Ledger) -> None:
    names = ["26774514888887984", "26774514888887982", "9", "10" * 40, "08", "x", "1e3", "-1", ""]
    list_rows(ledger, [row(name, 0) for name in names])
    assert [record.image_id for record in streams.in_order(LedgerHere(ledger))] == [
        "", "08", "9", "26774514888887982", "26774514888887984", "10" * 40, "-1", "1e3", "x",
    ]  # fmt: skip


def test_the_first_saved_is_undamaged(five: Ledger) -> None:
    five.save([stored(5, damaged=True), stored(4), stored(1)])
    assert [record.number for record in five.images.first_saved(9)] == [4, 1]
    assert [record.number for record in five.images.first_saved(1)] == [4]


def test_records_name_their_lines_and_members(ledger: Ledger) -> None:
    list_rows(ledger, [row("a/b", 0, sequence="s"), row(7, None, sequence="")])
    ledger.save([stored(1), stored(2)])
    one, two = streams.in_order(LedgerHere(ledger))
    assert (one.member, two.member) == ("1970-01-01/s/a_u2f_b.jpg", "unknown-date/7.jpg")
    assert json.loads(ledger.images.line(two))["id"] == "7"


# Days


def test_loose_images_come_in_bytewise_order_of_their_members(ledger: Ledger) -> None:
    rows = [
        row(image_id, 0, sequence=sequence)
        for sequence in ("s", "S", "s-", "s_", "", "é".replace("é", "_ue9_"))
        for image_id in (f"{sequence}10", f"{sequence}9", f"{sequence}Z")
    ]
    list_rows(ledger, [*rows, row("other", 86_400_000), row("unknown", None), row("not saved", 0)])
    ledger.save([stored(number) for number in range(1, len(rows) + 3)])
    members = [record.member for record in streams.loose(LedgerHere(ledger), "1970-01-01")]
    assert members == sorted(
        (member_path("1970-01-01", one.sequence, one.image_id, "jpg") for one in rows),
        key=str.encode,
    )
    assert ledger.images.count_loose("1970-01-01") == len(rows)
    assert [record.image_id for record in streams.loose(LedgerHere(ledger), "unknown-date")] == [
        "unknown"
    ]
    assert list(streams.loose(LedgerHere(ledger), "2024-01-15")) == []
    assert ledger.images.count_loose("2024-01-15") == 0


def test_damaged_images_are_loose_too_and_those_gone_are_not(five: Ledger) -> None:
    five.save([stored(1), stored(2, damaged=True)])
    five.settle([3], State.GONE)
    assert {record.number for record in streams.loose(LedgerHere(five), "2024-01-14")} == {1, 2}


def test_what_is_in_a_tar_is_loose_no_more(five: Ledger) -> None:
    five.save([stored(1), stored(2)])
    piece = five.pieces.start_tar("2024-01-14.tar", "2024-01-14", 0)
    five.pieces.seal_tar(piece, [(1, 512)])
    assert [record.number for record in streams.loose(LedgerHere(five), "2024-01-14")] == [2]
    assert list(streams.members_in_tars(LedgerHere(five), "2024-01-14")) == ["2024-01-14/s/1.jpg"]
    record = next(record for record in streams.in_order(LedgerHere(five)) if record.number == 1)
    assert (record.tar, record.offset) == ("2024-01-14.tar", 512)
    five.save([stored(1)])  # fetched again: the file is loose again
    assert {record.number for record in streams.loose(LedgerHere(five), "2024-01-14")} == {1, 2}


def test_some_saved_are_from_all_over_the_listing(five: Ledger) -> None:
    five.save([stored(number) for number in range(1, 6)])
    assert five.images.some_saved(3) == ["5", "1", "2"]


def test_some_saved(five: Ledger) -> None:
    five.save([stored(1), stored(4), stored(5, damaged=True)])
    assert five.images.some_saved(3) == ["4", "1"]
    assert five.images.some_saved(1) == ["4"]


def test_failures_are_named_in_the_order_of_listing(five: Ledger) -> None:
    five.save([stored(2)])
    five.images.unsettle([3], "trouble")
    assert list(five.images.failures()) == [
        ("1", None, 0), ("3", "trouble", 0), ("4", None, 0), ("5", None, 0),
    ]  # fmt: skip


def test_saved_images_come_by_listing_by_place_and_by_sequence(ledger: Ledger) -> None:
    time = 1705276800000
    list_rows(
        ledger,
        [
            row(1, time + 86_400_000, sequence="b"),
            row(2, time + 9, sequence="b"),
            row(3, time + 8, sequence="a"),
            row(4, time + 7, sequence=""),
            row(5, time, sequence="b"),
            row(6, None, sequence="b"),
        ],
    )
    ledger.save([stored(number) for number in (1, 2, 3, 4, 6)])
    tar = ledger.pieces.start_tar("2024-01-15.tar", "2024-01-15", 0)
    ledger.pieces.seal_tar(tar, [(3, 1024), (2, 4096), (4, 2048)])

    def ids(images: Any) -> str:
        return "".join(image.image_id for image in images)

    assert ids(ledger.images.saved()) == "12346"
    assert ids(ledger.images.by_place()) == "34216"
    here = LedgerHere(ledger)
    taken = streams.by_sequence(here, lambda _, some: [(each[2], each[0]) for each in some])
    assert list(taken) == [
        ("", time + 7), ("a", time + 8), ("b", time + 9), ("b", time + 86_400_000), ("b", None),
    ]  # fmt: skip
    records = {record.image_id: record for record in streams.in_order(here)}
    for image in ledger.images.saved():
        record = records[image.image_id]
        assert ledger.images.line(image) == ledger.images.line(record)
        for name in (*image._fields, "member"):
            assert getattr(image, name) == getattr(record, name)
