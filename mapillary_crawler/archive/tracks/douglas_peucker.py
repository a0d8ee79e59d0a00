"""Pure: lines in fewer points, by Douglas and Peucker's way."""

from __future__ import annotations

from collections.abc import Sequence

_Point = tuple[float, float]


def douglas_peucker(
    points: Sequence[_Point], among: Sequence[int], most: float, deepest: int | None = None
) -> list[int]:
    """Return the points of a line that are kept so that none lies further than `most` from it.

    `among` are the indices to choose from, in order; both ends are kept. A line is halved
    `deepest` times at most: one that is made to be slow keeps more points instead.
    """
    last = len(among) - 1
    if last < 2:
        return list(among)
    keep = bytearray(len(among))
    keep[0] = keep[last] = 1
    spans = [(0, last, 0)]
    while spans:
        first, end, depth = spans.pop()
        if depth == deepest:
            keep[first:end] = b"\1" * (end - first)
            continue
        furthest, at = _furthest(points, among, first, end)
        if furthest > most * most:
            keep[at] = 1
            spans += [(first, at, depth + 1), (at, end, depth + 1)]
    return [among[at] for at in range(len(among)) if keep[at]]


def _furthest(
    points: Sequence[_Point], among: Sequence[int], first: int, end: int
) -> tuple[float, int]:
    """Return the square of the furthest point's distance from a stretch, and where it stands."""
    x, y = points[among[first]]
    to_x, to_y = points[among[end]]
    over_x, over_y = to_x - x, to_y - y
    length = over_x * over_x + over_y * over_y
    furthest, at = 0.0, first
    for each in range(first + 1, end):
        of_x, of_y = points[among[each]]
        of_x, of_y = of_x - x, of_y - y
        if length:
            along = min(1.0, max(0.0, (of_x * over_x + of_y * over_y) / length))
            of_x, of_y = of_x - along * over_x, of_y - along * over_y
        aside = of_x * of_x + of_y * of_y
        if aside > furthest:
            furthest, at = aside, each
    return furthest, at
