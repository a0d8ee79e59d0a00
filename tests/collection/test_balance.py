"""The balance adds up and is told; every outcome has its reason and its exit code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import Outcome

counts = st.integers(0, 10**9)
balances = st.builds(
    Balance,
    **dict.fromkeys(
        ("saved", "damaged", "gone", "unavailable", "failed", "left", "accepted", "outside",
         "nameless", "bytes_saved"),
        counts,
    ),
)  # fmt: skip


@given(balances)
def test_the_line_adds_up(balance: Balance) -> None:
    listed, *parts = map(int, re.findall(r"\w+ (\d+)", str(balance).split(" (")[0]))
    assert listed == sum(parts) == balance.listed
    left = [balance.left] if balance.left else []
    assert parts == [balance.saved, balance.gone, balance.unavailable, balance.failed, *left]


def test_what_is_nothing_is_not_said() -> None:
    assert str(Balance(saved=3, gone=1)) == (
        "listed 4 = saved 3 + gone 1 + unavailable 0 + failed 0"
    )


def test_what_stands_beside_the_balance_is_said() -> None:
    balance = Balance(
        saved=3, damaged=1, failed=5, left=4, accepted=2, outside=7, nameless=6, bytes_saved=9
    )
    assert str(balance) == (
        "listed 12 = saved 3 + gone 0 + unavailable 0 + failed 5 + left 4 (1 of the saved are "
        "damaged at the source, 2 of the failed are accepted, 7 outside the selection, 6 rows "
        "without a usable id)"
    )
    assert balance.unsettled == 7


#: Design: exit codes of `scrapy crawl user`.
EXIT_CODES = {
    Outcome.COMPLETE: 0,
    Outcome.ALREADY_ARCHIVED: 0,
    Outcome.ERROR: 1,
    Outcome.REFUSED: 2,
    Outcome.INCOMPLETE: 3,
    Outcome.PLANNED: 0,
    Outcome.ACCEPTED: 3,
    Outcome.INTERRUPTED: 4,
    Outcome.TOKEN_REFUSED: 5,
    Outcome.DISK_FULL: 6,
    Outcome.SERVICE_AWAY: 7,
    Outcome.BLOCKED: 7,
    Outcome.NO_IMAGES: 8,
    Outcome.LOCKED: 9,
    Outcome.NOT_UPLOADED: 10,
    Outcome.CUT: 4,
    Outcome.SLICE_COMPLETE: 0,
    Outcome.SLICE_INCOMPLETE: 3,
}


def test_exit_codes() -> None:
    assert {outcome: outcome.exit_code for outcome in Outcome} == EXIT_CODES


@pytest.mark.parametrize("outcome", Outcome)
def test_outcomes_and_reasons_belong_together(outcome: Outcome) -> None:
    assert [each for each in Outcome if each.reason == outcome.reason] == [outcome]
    assert outcome.words
    if outcome.exit_code in (4, 6, 7) or outcome is Outcome.INCOMPLETE:
        assert "run the same command again" in outcome.advice
        assert outcome.sentence == f"{outcome.words}, {outcome.advice}"
