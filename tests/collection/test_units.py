"""Sizes and spans of time with units, and that nothing else is taken for one."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.units import read_size, read_span
from mapillary_crawler.terminal.quantities import size

SIZES = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50,
}  # fmt: skip
SPANS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
numbers = st.integers(0, 10**6)
anything = st.text(st.characters(exclude_categories=()), max_size=20)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1GB", 10**9), ("10 MiB", 10 * 2**20), ("1gb", 10**9), ("1KB", 1000), (" 2 kib ", 2048),
        ("1.5 MB", 1_500_000), ("0.3B", 0), ("1_000", 1000), ("1e11", 10**11), ("0", 0),
        ("-5", -5), ("+5", 5),
    ],
)  # fmt: skip
def test_sizes(value: str, number: int) -> None:
    assert read_size(value) == number


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1d", 86_400), ("1.5 h", 5400), ("7200", 7200), ("0.25", 0.25)],
)
def test_spans(value: str, seconds: float) -> None:
    assert read_span(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "GB", "1G", "1 GBs", "1  GB", "1,5GB", "0x10", "nan", "inf", "1e-3", "1e400", "1MB/s",
     "2h", "\uff11GB", "1.GB", ".5GB", "9" * 5000, "1GB\n1"],
)  # fmt: skip
def test_no_sizes(value: str) -> None:
    with pytest.raises(ValueError, match=r"is not understood; write a number of bytes, .*GB"):
        read_size(value)


@pytest.mark.parametrize("value", ["", "h", "1M", "1H", "2 hours", "1h30m", "1:30", "nan", "2GB"])
def test_no_spans(value: str) -> None:
    with pytest.raises(ValueError, match="is not understood; write a number of seconds"):
        read_span(value)


def test_a_unit_can_be_required() -> None:
    for read in (read_size, read_span):
        with pytest.raises(ValueError, match="is not understood"):
            read("5", plain=False)
    assert read_size("5B", plain=False) == read_span("5s", plain=False) == 5


@given(numbers, st.sampled_from(sorted(SIZES)), st.sampled_from(["", " "]))
def test_every_unit_is_its_factor(number: int, unit: str, space: str) -> None:
    written = f"{number}{space if unit else ''}{unit}"
    assert read_size(written) == read_size(written.upper()) == number * SIZES[unit]


@given(numbers, st.sampled_from(sorted(SPANS)))
def test_every_span_is_its_factor(number: int, unit: str) -> None:
    assert read_span(f"{number}{unit}") == number * SPANS[unit]


@given(st.integers(0, 10**17))
def test_what_the_program_writes_it_reads(number: int) -> None:
    assert read_size(size(number)) == pytest.approx(number, rel=0.06)


@given(anything)
def test_nothing_but_a_finite_number_or_a_refusal(value: str) -> None:
    for read in (read_size, read_span):
        with suppress(ValueError):
            assert math.isfinite(read(value))
