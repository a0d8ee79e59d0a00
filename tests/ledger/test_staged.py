"""What is in the staging folder by day: true after whatever happens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, PieceState, StagedDay, State
from tests.ledgers import fresh_ledger, row, stored

_DAY = 86_400_000
_FIRST = 1705276800000


def list_days(ledger: Ledger, *images: int) -> None:
    """List so many images in each of some days, from 2024-01-15 on, and close the listing."""
    rows, number = [], 0
    for day, count in enumerate(images):
        for _ in range(count):
            number += 1
            rows.append(row(number, _FIRST + day * _DAY, sequence=f"s{number % 3}"))
    ledger.listing.commit(None, None, rows)
    ledger.listing.close()


def counted(ledger: Ledger) -> Sequence[tuple[object, ...]]:
    """Return days, missing, loose and their bytes by a look at every row."""
    return ledger.database.execute(
        f"SELECT day, sum(state = {State.UNSETTLED:d}), "
        f"sum(piece IS NULL AND state IN (1, 2)), "
        f"sum((piece IS NULL AND state IN (1, 2)) * coalesce(size, 0)) "
        "FROM images GROUP BY day ORDER BY day"
    ).fetchall()


def sums(ledger: Ledger) -> list[tuple[object, ...]]:
    found = {each.day: each for each in ledger.staged.days()}
    return [
        (day, each.missing, each.loose, each.loose_bytes)
        if (each := found.get(str(day)))
        else (day, 0, 0, 0)
        for day, *_ in counted(ledger)
    ]


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["save", "gone", "unsettle", "tar", "again"]),
        st.lists(st.integers(1, 12), min_size=1, max_size=5, unique=True),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(_STEPS)
def test_the_sums_are_true_after_whatever_happens(
    steps: list[tuple[str, list[int]]],
) -> None:
    with fresh_ledger() as ledger:
        list_days(ledger, 5, 4, 3)
        ledger.staged.make()
        for step, numbers in steps:
            if step == "save":
                ledger.save([stored(number, 10 * number) for number in numbers])
            elif step == "gone":
                ledger.settle(numbers, State.GONE)
            elif step == "unsettle":
                ledger.images.unsettle(numbers, "lost")
            elif step == "tar":
                piece = ledger.pieces.start_tar(f"{numbers[0]}.tar", "2024-01-15", 0)
                ledger.pieces.seal_tar(piece, [(number, 0) for number in numbers])
            ledger.staged.make()
            assert sums(ledger) == list(counted(ledger))


def test_bytes_are_those_that_are_here() -> None:
    with fresh_ledger() as ledger:
        list_days(ledger, 4)
        ledger.save([stored(number, 100) for number in (1, 2, 3)])
        ledger.staged.make()
        piece = ledger.pieces.start_tar("2024-01-15.tar", "2024-01-15", 0)
        ledger.pieces.written(piece, size=1000, sha256=b"", md5=b"")
        ledger.pieces.seal_tar(piece, [(1, 512), (2, 1536)])
        ledger.pieces.record_file("metadata.jsonl.gz", size=70, sha256=b"", md5=b"")
        ledger.queue.fail([FailedAttempt(4, "reset", 5.0)])
        found = ledger.staged.bytes()
        assert (found.loose, found.loose_bytes, found.tar_bytes) == (1, 100, 1000)
        assert found.to_retry == 1
        ledger.pieces.set_state("2024-01-15.tar", PieceState.REMOVED)
        assert ledger.staged.bytes().tar_bytes == 0
        assert ledger.staged.kept() == 0


def test_what_is_given_up_is_named_by_day_and_may_be_accepted() -> None:
    with fresh_ledger() as ledger:
        list_days(ledger, 2, 2)
        ledger.staged.make()
        ledger.queue.fail([FailedAttempt(1, "404", math.inf), FailedAttempt(3, "404", math.inf)])
        assert ledger.staged.days() == [
            StagedDay("2024-01-15", 2, 0, 0, 1), StagedDay("2024-01-16", 2, 0, 0, 1),
        ]  # fmt: skip
        assert ledger.images.accept_given_up(["2024-01-16"]) == 1
        assert ledger.staged.days()[1] == StagedDay("2024-01-16", 1, 0, 0, 0)
        assert ledger.images.balance().accepted == 1


def test_rows_come_by_member_and_without_those_in_tars() -> None:
    with fresh_ledger() as ledger:
        list_days(ledger, 7)
        ledger.save([stored(1), stored(3, 30), stored(6)])
        ledger.settle([5], State.GONE)
        piece = ledger.pieces.start_tar("2024-01-15.tar", "2024-01-15", 0)
        ledger.pieces.seal_tar(piece, [(6, 512)])
        ledger.queue.fail([FailedAttempt(4, "404", math.inf)])
        found = ledger.staged.rows("2024-01-15", "", 10)
        assert [(each.key, each.size, each.failed) for each in found] == [
            ("s0/3.", 30, False), ("s1/1.", 10, False), ("s1/4.", None, True),
            ("s1/7.", None, False), ("s2/2.", None, False),
        ]  # fmt: skip
        assert ledger.staged.rows("2024-01-15", "s1/4.", 2) == found[2:4]


def test_what_is_missing_is_drawn_from_one_key_to_another() -> None:
    with fresh_ledger() as ledger:
        list_days(ledger, 9)
        ledger.queue.fail([FailedAttempt(4, "reset", 50.0), FailedAttempt(2, "reset", 500.0)])
        drawn = ledger.queue.draw_missing("2024-01-15", "s0/6.", "s2/2.", 100.0, 2)
        assert [image.number for image in drawn] == [6, 9]
        drawn = ledger.queue.draw_missing("2024-01-15", "s0/6.", "s2/5.", 100.0, 99)
        assert [image.number for image in drawn] == [1, 4, 7, 5]
        drawn = ledger.queue.draw_missing("2024-01-15", "", "", 1000.0, 99)
        assert [image.number for image in drawn] == [3, 2, 8]
