"""Lines on the world's map: in few points, and within a box."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.browse.lines import indexed_lines
from mapillary_crawler.archive.browse.world import (
    ALL_POINTS,
    DETAILS,
    clipped,
    detail_at,
    packed,
    pixel,
    project,
    simplified,
    unpacked,
)
from mapillary_crawler.archive.tracks import douglas_peucker
from mapillary_crawler.ledger.viewer_records import PlacedImage

places = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


def aside(point: tuple[float, float], line: list[tuple[float, float]]) -> float:
    """Return how far a point is from a line."""
    least = math.inf
    for (x, y), (to_x, to_y) in pairwise(line):
        length = (to_x - x) ** 2 + (to_y - y) ** 2 or 1
        along = ((point[0] - x) * (to_x - x) + (point[1] - y) * (to_y - y)) / length
        along = min(1, max(0, along))
        least = min(least, math.dist(point, (x + along * (to_x - x), y + along * (to_y - y))))
    return least


def test_the_map_is_that_of_all_web_maps() -> None:
    assert project(0, 0) == (0.5, 0.5)
    assert project(-180, 85.051129) == pytest.approx((0, 0), abs=1e-8)
    assert project(180, -90) == pytest.approx((1, 1), abs=1e-8)  # the poles lie at its edge
    # The Brandenburg Gate is in OpenStreetMap's tile 17/70406/42987.
    x, y = project(13.37771496361961, 52.51628011262304)
    assert (int(x * 2**17), int(y * 2**17)) == (70406, 42987)
    assert [detail_at(zoom) for zoom in (0, 2, 2.1, 14, 14.5, 30)] == [0, 0, 1, 4, 5, ALL_POINTS]


@given(st.lists(places, min_size=1, max_size=40))
def test_simplified_lines_have_their_ends_and_nothing_is_far_from_them(
    points: list[tuple[float, float]],
) -> None:
    on_map = [project(*point) for point in points]
    details = simplified(on_map)
    assert len(details) == ALL_POINTS + 1
    assert details[-1] == list(range(len(points)))
    finer = set(details[-1])
    for zoom, kept in reversed(list(zip(DETAILS, details, strict=False))):
        assert (kept[0], kept[-1]) == (0, len(points) - 1)
        assert kept == sorted(set(kept))
        assert set(kept) <= finer
        finer = set(kept)
        line = [on_map[at] for at in kept]
        # Each is simplified from the finer one, so what they leave out adds up.
        most = sum(pixel(each) for each in DETAILS if each >= zoom)
        if len(line) > 1:
            assert all(aside(point, line) <= most + 1e-12 for point in on_map)


def test_a_straight_line_has_two_points() -> None:
    straight = [(0.1 + at / 10_000, 0.2) for at in range(2_000)]
    assert [len(kept) for kept in simplified(straight)[:-1]] == [2] * len(DETAILS)


def test_a_line_that_was_made_to_be_slow_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    furthest = douglas_peucker._furthest

    def counting(points: Any, among: Any, first: int, end: int) -> tuple[float, int]:
        nonlocal looked_at
        looked_at += end - first
        return furthest(points, among, first, end)

    monkeypatch.setattr(douglas_peucker, "_furthest", counting)
    # Each furthest point is beside the last one: halves are as long as the whole.
    count = 2_000
    simplified([(at / count, (at % 2) * 0.5 ** (at / 30)) for at in range(count)])
    assert looked_at < count * 50 * len(DETAILS)


@given(st.lists(places, max_size=20))
def test_packed_points_come_back(points: list[tuple[float, float]]) -> None:
    found = unpacked(packed(points))
    assert len(found) == len(points)
    for one, other in zip(found, points, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@given(st.binary(max_size=40))
def test_whatever_is_packed_is_points(content: bytes) -> None:
    assert len(unpacked(content)) == len(content) // 8


@given(st.lists(places, min_size=1, max_size=20), places, places)
def test_no_point_within_a_box_is_clipped(
    points: list[tuple[float, float]], one: tuple[float, float], other: tuple[float, float]
) -> None:
    (west, south), (east, north) = one, other
    south, north = sorted((south, north))
    stretches = clipped(points, (west, south, east, north))

    def inside(point: tuple[float, float]) -> bool:
        across = west <= point[0] <= east if west <= east else not east < point[0] < west
        return across and south <= point[1] <= north

    found = [point for stretch in stretches for point in stretch]
    assert all(point in found for point in points if inside(point))
    assert all(point in points for point in found)


def test_a_line_that_leaves_a_box_is_two_stretches() -> None:
    line = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (3.0, 9.0), (1.0, 9.0), (1.0, 0.0)]
    assert clipped(line, (0.5, -1, 1.5, 1)) == [line[:3], line[5:]]
    assert clipped([(1.0, 0.0)], (0.5, -1, 1.5, 1)) == [[(1.0, 0.0)]]
    assert clipped([(1.0, 0.0)], (2, -1, 3, 1)) == []


def images(*rows: tuple[float, int, int, int, int]) -> list[PlacedImage]:
    return [PlacedImage(longitude, 0, *same) for longitude, *same in rows]


def lines(some: list[PlacedImage], loose: int | None = None) -> list[tuple[int, list[float]]]:
    return [
        (line.images, [longitude for longitude, _ in unpacked(shapes[-1][1])])
        for line, shapes in indexed_lines(some, loose)
    ]


def test_lines_go_on_where_the_day_changes_and_end_with_the_sequence() -> None:
    some = images((1, 7, 0, 0, 0), (2, 7, 0, 0, 0), (3, 8, 0, 0, 0), (4, 8, 0, 0, 0),
                  (9, 8, 1, 0, 0), (8, 8, 1, 5, 0))  # fmt: skip
    assert lines(some) == [(2, [1, 2, 3]), (2, [3, 4]), (1, [9, 8]), (1, [8])]
    assert lines(some, loose=0) == [(1, [1]), (1, [2]), (1, [3]), (1, [4]), (1, [9, 8]), (1, [8])]
    assert lines(images((179, 1, 0, 0, 0), (-179, 1, 0, 0, 0))) == [(1, [179]), (1, [-179])]
    assert lines([]) == []


def test_long_lines_are_several_from_the_same_point() -> None:
    some = images(*((at / 1000, 1, 0, 0, 0) for at in range(5_000)))
    found = lines(some)
    assert [count for count, _ in found] == [2_000, 2_000 - 1, 1_001]
    for (_, before), (_, behind) in pairwise(found):
        assert before[-1] == behind[0]


def test_any_images_are_in_lines_once() -> None:
    generator = random.Random(1)
    some = images(*(
        (generator.uniform(-180, 180), *(generator.randrange(2) for _ in range(4)))
        for _ in range(500)
    ))  # fmt: skip
    some.sort(key=lambda image: image.sequence)
    assert sum(count for count, _ in lines(some)) == 500
