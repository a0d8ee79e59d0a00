"""Retry-After and back-off: RFC 9110 dates and seconds, hostile headers, bounds of the jitter."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.graph.backoff import MAX_RETRY_AFTER, full_jitter, retry_after

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("99999999", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30", 30.0),
        ("Sunday, 22-Nov-26 12:00:30 GMT", 30.0),
        ("Sun Nov 22 12:00:30 2026", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
    ],
)
def test_both_forms_are_read_and_clamped(header: str, seconds: float) -> None:
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    "header", [None, "", "  ", "soon", "-5", "1.5", "1e3", "²", "inf", "32 Nov 2026 12:00:30 GMT"]
)
def test_what_is_neither_form_is_ignored(header: str | None) -> None:
    assert retry_after(header, NOW) is None


@given(st.text())
def test_no_header_breaks_it(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


@given(st.integers(0, int(MAX_RETRY_AFTER)))
def test_the_standard_library_s_dates_are_read_back(seconds: int) -> None:
    header = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
    assert retry_after(header, NOW) == seconds


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.01, 1000), st.integers())
def test_jitter_stays_below_the_growing_bound_and_the_cap(
    attempt: int, base: float, cap: float, seed: int
) -> None:
    delay = full_jitter(attempt, base, cap, random.Random(seed))
    assert 0 <= delay <= cap
    if attempt < 30:
        assert delay <= base * 2**attempt


def test_jitter_fills_its_range_and_doubles() -> None:
    source = random.Random(1)

    def mean(attempt: int) -> float:
        return sum(full_jitter(attempt, 1.0, 60.0, source) for _ in range(4000)) / 4000

    assert mean(0) == pytest.approx(0.5, rel=0.1)
    assert mean(3) == pytest.approx(4.0, rel=0.1)
    assert mean(30) == pytest.approx(30.0, rel=0.1)
