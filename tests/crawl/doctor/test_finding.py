"""What findings come to."""

from __future__ import annotations

import pytest

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.crawl.doctor.finding import (
    Finding,
    State,
    exit_code,
    fault,
    fault_of,
    note,
    ok,
    warning,
)

HARMLESS = [ok("a", "x"), note("b", "x"), warning("c", "x", "y")]


def of(outcome: Outcome) -> Finding:
    return fault("part", outcome, "found", "remedy")


def test_what_is_no_fault_is_0() -> None:
    assert exit_code([]) == exit_code(HARMLESS) == 0


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.ERROR,
        Outcome.REFUSED,
        Outcome.TOKEN_REFUSED,
        Outcome.DISK_FULL,
        Outcome.SERVICE_AWAY,
        Outcome.BLOCKED,
    ],
)
def test_a_fault_is_what_a_crawl_ends_with(outcome: Outcome) -> None:
    assert exit_code([*HARMLESS, of(outcome)]) == outcome.exit_code


def test_of_several_the_first_counts() -> None:
    faults = [of(Outcome.SERVICE_AWAY)]
    for outcome in (
        Outcome.DISK_FULL,
        Outcome.TOKEN_REFUSED,
        Outcome.REFUSED,
        Outcome.ERROR,
    ):
        faults.append(of(outcome))
        assert exit_code(faults) == exit_code(faults[::-1]) == outcome.exit_code


def test_a_line_of_a_crawl_is_what_is_wrong_and_what_to_do() -> None:
    found = fault_of("token", Outcome.REFUSED, "it is not set; get one; then set it")
    assert found == Finding(
        "token", State.FAULT, "it is not set", "get one; then set it", Outcome.REFUSED
    )
    assert found.fields == {
        "what": "token",
        "state": "fault",
        "found": "it is not set",
        "remedy": "get one; then set it",
    }
    assert fault_of("x", Outcome.REFUSED, "X is no number").remedy == "set it to another value"
    assert ok("x", "well").fields["remedy"] is None
