"""Pure: lines with fewer points, none further than a tolerance from the line as it was.

Places are whole numbers of 1e-5 degrees (1.1 m from south to north), tolerances such units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    kept, last, index = [0], len(flat) - 1, 1
    while kept[-1] < last:
        corner = kept[-1]
        x, y = flat[corner]
        first, low, high = None, -math.pi, math.pi
        furthest = 0.0
        while index <= last:
            here_x, here_y = flat[index]
            distance = math.hypot(here_x - x, here_y - y)
            if distance < furthest - near:
                break
            if distance > near:
                angle = math.atan2(here_y - y, here_x - x)
                if first is None:
                    first = angle
                turn = math.remainder(angle - first, math.tau)
                if not low <= turn <= high:
                    break
                width = math.asin(near / distance)
                low, high = max(low, turn - width), min(high, turn + width)
                furthest = max(furthest, distance)
            index += 1
        kept.append(index - 1 if index - 1 > corner else index)
        index = kept[-1] + 1
    return kept


def _chosen(flat: Sequence[tuple[float, float]], indices: Sequence[int], near: float) -> list[int]:
    """Return those of the indices that are kept, some of them at a time."""
    kept = [indices[0]]
    for start in range(0, max(1, len(indices) - 1), _AT_ONCE):
        kept += douglas_peucker(flat, indices[start : start + _AT_ONCE + 1], near)[1:]
    return kept
