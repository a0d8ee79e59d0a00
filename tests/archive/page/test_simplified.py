"""Lines with fewer points stay near what they were."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.page.packing import Packing, signed, unpacked
from mapillary_crawler.archive.page.simplified import Place, simplified

#: Around the equator, where a degree is as long both ways.
near_equator = st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000))


def distance(place: Place, start: Place, end: Place) -> float:
    """Return how far a place is from a stretch."""
    along = end[0] - start[0], end[1] - start[1]
    length = along[0] ** 2 + along[1] ** 2
    off = place[0] - start[0], place[1] - start[1]
    share = min(1, max(0, (off[0] * along[0] + off[1] * along[1]) / length)) if length else 0
    return math.hypot(off[0] - share * along[0], off[1] - share * along[1])


def furthest(places: list[Place], kept: list[Place]) -> float:
    """Return how far a place is at most from the kept line, which has the places in their order."""
    if len(kept) == 1:
        return max(math.dist(place, kept[0]) for place in places)
    reach = [distance(places[0], kept[0], kept[1])]
    best: list[float] = [math.inf] * (len(kept) - 1)
    # The least, over all ways along the kept line, of the largest distance.
    for place in places:
        before = 0.0 if place is places[0] else math.inf
        now = []
        for index in range(len(kept) - 1):
            before = min(before, best[index])
            now.append(max(before, distance(place, kept[index], kept[index + 1])))
        best = now
    return max(best[-1], reach[0])


@given(st.lists(near_equator, min_size=1, max_size=60), st.floats(1, 500))
def test_no_place_is_further_than_the_tolerance(places: list[Place], tolerance: float) -> None:
    kept = simplified(places, tolerance)
    assert kept[0] == places[0]
    if len(kept) > 1:
        assert kept[-1] == places[-1]
    left = iter(places)
    assert all(place in left for place in kept)  # in their order
    assert furthest(places, kept) <= tolerance + 1e-6


def test_a_straight_line_has_two_places_and_a_turn_three() -> None:
    straight = [(number * 7, 0) for number in range(500)]
    assert simplified(straight, 9) == [straight[0], straight[-1]]
    back = [*straight, *straight[-2:100:-1]]
    assert simplified(back, 9) == [straight[0], straight[-1], straight[101]]
    assert simplified([(0, 0), (3, 3), (1, 1)], 9) == [(0, 0)]


def test_degrees_of_longitude_are_shorter_in_the_north() -> None:
    bend = [(0, 7_000_000), (500, 7_000_000), (600, 7_000_020), (700, 7_000_000), (1200, 7_000_000)]
    assert len(simplified(bend, 15)) > 2
    assert simplified([(0, 8_950_000), (500, 8_950_000)], 9) == [(0, 8_950_000)]


def test_a_line_that_turns_at_every_place_takes_no_square_of_time() -> None:
    """Were all compared with all, this would take some minutes."""
    zigzag = [(number * 30, number % 2 * (100 + number)) for number in range(20_000)]
    assert len(simplified(zigzag, 9)) == len(zigzag)


@pytest.mark.parametrize("seed", range(3))
def test_a_walk_with_noise_shrinks(seed: int) -> None:
    rng = random.Random(seed)
    x = y = heading = 0.0
    places = []
    for _ in range(2000):
        heading += rng.choice((-1.57, 1.57)) if rng.random() < 0.02 else 0
        x, y = x + 5 * math.cos(heading), y + 5 * math.sin(heading)
        places.append((round(x + rng.gauss(0, 1)), round(y + rng.gauss(0, 1))))
    kept = simplified(places, 9)
    assert len(kept) < 150
    assert furthest(places, kept) <= 9


@given(st.lists(st.integers(-(2**40), 2**40)))
def test_numbers_come_back(numbers: list[int]) -> None:
    packing = Packing()
    for number in numbers:
        packing.add_signed(number)
    assert [signed(number) for number in unpacked(packing.packed())] == numbers
