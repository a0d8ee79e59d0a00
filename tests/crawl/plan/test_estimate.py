"""Totals judged by a sample, and how far they may be off."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.crawl.plan.estimate import estimate, student


@pytest.mark.parametrize(
    ("freedom", "table"), [(2, 4.303), (4, 2.776), (9, 2.262), (19, 2.093), (1000, 1.962)]
)
def test_student_is_that_of_the_tables(freedom: int, table: float) -> None:
    assert student(freedom) == pytest.approx(table, rel=0.01)


def test_no_sample_no_estimate() -> None:
    assert estimate([], 100) is None


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_to_tell_the_error(count: int) -> None:
    found = estimate([100] * count, 1000)
    assert found
    assert (found.size, found.error) == (100_000, None)


def test_all_images_are_the_sample() -> None:
    found = estimate([100, 200, 600], 3)
    assert found
    assert (found.size, found.error) == (900, 0)


def test_images_without_a_file_do_not_weigh() -> None:
    found = estimate([100] * 15, 1000, without=5)
    assert found
    assert found.size == pytest.approx(75_000)
    assert found.without == 5


@given(st.lists(st.integers(1, 10**8), min_size=3, max_size=30), st.integers(30, 10**7))
def test_bounds(sizes: list[int], images: int) -> None:
    found = estimate(sizes, images)
    assert found
    assert min(sizes) * images * 0.999 <= found.size <= max(sizes) * images * 1.001
    assert found.error is not None
    assert 0 <= found.error <= student(2) * max(sizes) * images


def test_error_holds_in_19_of_20_cases() -> None:
    generator = random.Random(4)
    images = [round(generator.lognormvariate(13, 0.4)) for _ in range(5000)]
    held = 0
    for _ in range(1000):
        found = estimate(generator.sample(images, 20), len(images))
        assert found
        assert found.error is not None
        held += abs(found.size - sum(images)) <= found.error
    assert 0.92 <= held / 1000 <= 0.98
    assert statistics.fmean(images) > 0
