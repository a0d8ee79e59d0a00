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
    xs, ys = [points[at][0] for at in among], [points[at][1] for at in among]
    keep = bytearray(len(among))
    keep[0] = keep[last] = 1
    spans = [(0, last, 0)]
    while spans:
        first, end, depth = spans.pop()
        if depth == deepest:
            keep[first:end] = b"\1" * (end - first)
            continue
        if end - first < 2:
            continue
        furthest, at = _furthest(xs, ys, first, end)
        if furthest > most * most:
            keep[at] = 1
            spans += [(first, at, depth + 1), (at, end, depth + 1)]
    return [among[at] for at in range(len(among)) if keep[at]]


def _furthest(xs: list[float], ys: list[float], first: int, end: int) -> tuple[float, int]:
    """Return the square of the furthest point's distance from a stretch, and where it stands."""
    x, y = xs[first], ys[first]
    over_x, over_y = xs[end] - x, ys[end] - y
    length = over_x * over_x + over_y * over_y
    furthest, at = 0.0, first
    for each in range(first + 1, end):
        of_x, of_y = xs[each] - x, ys[each] - y
        along = of_x * over_x + of_y * over_y
        if along >= length:  # the end is the nearest, where it is not the beginning, too
            of_x, of_y = of_x - over_x, of_y - over_y
        elif along > 0:  # else it is the beginning
            share = along / length
            of_x, of_y = of_x - share * over_x, of_y - share * over_y
        aside = of_x * of_x + of_y * of_y
        if aside > furthest:
            furthest, at = aside, each
    return furthest, at
