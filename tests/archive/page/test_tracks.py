"""The lines of a page: as many as fit, the same for the same lines."""

from __future__ import annotations

import random

import pytest

from mapillary_crawler.archive.page.packing import signed, unpacked
from mapillary_crawler.archive.page.tracks import GRID, Tracks
from mapillary_crawler.archive.tracks.lines import Line, Point
from tests.archive.page.contents_made import walk
from tests.archive.tracks.made import line_of

_DAY = 86_400_000


def line(points: list[Point], sequence: str = "s", day: int = 0) -> Line:
    return line_of(points, sequence, first=day * _DAY, last=day * _DAY)


def read(packed: bytes) -> list[tuple[int, int, bool, list[tuple[int, int]]]]:
    """Return day, images, whether connected, and places of each line."""
    numbers, found = unpacked(packed), []
    x = y = 0
    for day in numbers:
        images, count = next(numbers), next(numbers)
        places = []
        for _ in range(count // 2):
            x, y = x + signed(next(numbers)), y + signed(next(numbers))
            places.append((x, y))
        found.append((day, images, bool(count % 2), places))
    return found


def test_a_line_keeps_its_ends_its_day_and_its_images() -> None:
    points = walk(random.Random(1), 200)
    tracks = Tracks()
    tracks.add(line(points, day=17_965))
    ((day, images, connected, places),) = read(tracks.packed())
    assert (day, images, connected) == (17_966, 200, True)
    for place, point in ((places[0], points[0]), (places[-1], points[-1])):
        assert place == (round(point.longitude * GRID), round(point.latitude * GRID))
    assert 2 < len(places) < 60


def test_lines_come_by_day_and_those_without_one_first() -> None:
    tracks = Tracks()
    rng = random.Random(2)
    for day in (30, 10, 20):
        tracks.add(line(walk(rng, 20), day=day))
    undated = line(walk(rng, 20))
    undated.first = None
    tracks.add(undated)
    assert [day for day, *_ in read(tracks.packed())] == [0, 11, 21, 31]


def test_images_without_a_sequence_are_places_one_where_many_are() -> None:
    here = [Point(13.0, 52.0, None, None)] * 50
    there = [Point(14.0, 53.0, None, None)]
    tracks = Tracks()
    tracks.add(line_of([*here, *there, *here], "", day="2024-01-15"))
    ((_, images, connected, places),) = read(tracks.packed())
    assert (images, connected) == (101, False)
    assert sorted(places) == [(1_300_000, 5_200_000), (1_400_000, 5_300_000)]


@pytest.mark.parametrize("images", [1, 40])
def test_many_lines_take_no_more_than_they_may(images: int) -> None:
    """Be they lines or single images all over the world, and in whatever number."""
    rng = random.Random(3)
    tracks = Tracks(most_places=1000, most_bytes=3000)
    for number in range(2000):
        far = [Point(rng.uniform(-180, 180), rng.uniform(-85, 85), None, None)]
        tracks.add(line(far * images if images == 1 else walk(rng, images), f"s{number}", number))
        assert len(tracks._tracks) < 1000
    packed = tracks.packed()
    assert len(packed) <= 3000
    assert len(packed) > 1000
    found = read(packed)
    if images == 1:
        assert sum(images for _, images, _, _ in found) == 2000


def test_even_lines_that_never_shrink_come_to_an_end() -> None:
    rng = random.Random(4)
    tracks = Tracks(most_places=500, most_bytes=300)
    for _ in range(60):
        ends = [Point(rng.uniform(-180, 180), rng.uniform(-85, 85), None, None) for _ in range(50)]
        tracks.add(line(ends))
    assert len(tracks.packed()) <= 300


def test_the_same_lines_are_the_same_bytes() -> None:
    def packed() -> bytes:
        rng, tracks = random.Random(5), Tracks(most_places=800)
        for number in range(100):
            tracks.add(line(walk(rng, 100), f"s{number}", number % 7))
        return tracks.packed()

    assert packed() == packed()
