"""Pure: lines with fewer points, none further than a tolerance from the line as it was.

Places are whole numbers of 1e-5 degrees (1.1 m from south to north), tolerances such units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import asin, atan2, hypot, pi, remainder, tau

from mapillary_crawler.archive.tracks.douglas_peucker import douglas_peucker

Place = tuple[int, int]

#: Of the tolerance, what the first, fast pass may take.
_SHARE = 1 / 3
#: Corners among which the second pass chooses at once: its time grows with their square.
_AT_ONCE = 128
#: Beyond this latitude degrees of longitude are taken to be as long as there.
_STEEPEST = math.cos(math.radians(89))


def simplified(places: Sequence[Place], tolerance: float) -> list[Place]:
    """Return some of the places of a line, its ends among them; one place where all are near it."""
    wide = max(_STEEPEST, math.cos(math.radians(places[0][1] / 1e5)))
    flat = [(x * wide, float(y)) for x, y in places]
    kept = _corners(flat, tolerance * _SHARE)
    kept = _chosen(flat, kept, tolerance * (1 - _SHARE))
    if len(kept) == 2 and math.dist(flat[kept[0]], flat[kept[1]]) <= tolerance:
        kept = kept[:1]
    return [places[index] for index in kept]


def _corners(flat: Sequence[tuple[float, float]], near: float) -> list[int]:
    """Return the indices of points between which the others are `near` a straight line.

    In one pass: from a corner a line goes on as long as there is a direction in which all points
    that follow are near it (Zhao and Saalfeld's sleeve), and as long as it does not turn back.
    """
    kept, last = [0], len(flat) - 1
    while kept[-1] < last:
        kept.append(_end_of_sleeve(flat, kept[-1], near))
    return kept


def _end_of_sleeve(flat: Sequence[tuple[float, float]], corner: int, near: float) -> int:
    """Return the last point of a line that begins at a corner, which is not the last of all."""
    x, y = flat[corner]
    first, low, high = None, -pi, pi
    furthest = 0.0
    for index in range(corner + 1, len(flat)):
        here_x, here_y = flat[index]
        over_x, over_y = here_x - x, here_y - y
        distance = hypot(over_x, over_y)
        if distance < furthest - near:
            return max(index - 1, corner + 1)
        if distance > near:
            angle = atan2(over_y, over_x)
            if first is None:
                first = angle
            turn = angle - first
            if not -pi <= turn <= pi:
                turn = remainder(turn, tau)
            if not low <= turn <= high:
                return max(index - 1, corner + 1)
            width = asin(near / distance)
            if turn - width > low:  # noqa: PLR1730  max() would take as long as all the rest
                low = turn - width
            if turn + width < high:  # noqa: PLR1730  the same
                high = turn + width
            if distance > furthest:  # noqa: PLR1730  the same
                furthest = distance
    return len(flat) - 1


def _chosen(flat: Sequence[tuple[float, float]], indices: Sequence[int], near: float) -> list[int]:
    """Return those of the indices that are kept, some of them at a time."""
    kept = [indices[0]]
    for start in range(0, max(1, len(indices) - 1), _AT_ONCE):
        kept += douglas_peucker(flat, indices[start : start + _AT_ONCE + 1], near)[1:]
    return kept
