"""Pure: the lines of a map, of images that come by sequence.

A line is of one sequence, day, camera and kind, so that a filter shows it or does not; where one of
these changes within a sequence, a further line goes on from the same point.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mapillary_crawler.archive.browse.world import packed, project, simplified
from mapillary_crawler.ledger.viewer_records import IndexedLine

if TYPE_CHECKING:
    from mapillary_crawler.ledger.viewer_records import PlacedImage

#: Points of a line: few enough that one near by is not much more than what a map shows of it.
_MOST = 2_000

_Point = tuple[float, float]


def indexed_lines(
    images: Iterable[PlacedImage], loose: int | None = None
) -> Iterator[tuple[IndexedLine, list[tuple[int, bytes]]]]:
    """Yield lines with their points, how many and packed, in each detail of `world.DETAILS`.

    Images of the sequence `loose`, which is none, are not connected.
    """
    points: list[_Point] = []
    before: PlacedImage | None = None
    count = 0
    for image in images:
        point = (image.longitude, image.latitude)
        if before is not None:
            is_same = image[2:] == before[2:]
            follows = image.sequence == before.sequence != loose and not _is_across(
                points[-1], point
            )
            if not (is_same and follows and len(points) < _MOST):
                if follows and not is_same:
                    points.append(point)
                yield _line(before, points, count)
                points, count = (points[-1:] if follows and is_same else []), 0
        points.append(point)
        count += 1
        before = image
    if before is not None:
        yield _line(before, points, count)


def _is_across(one: _Point, other: _Point) -> bool:
    """Say whether the way between two points crosses the 180th meridian."""
    return abs(one[0] - other[0]) > 180


def _line(
    image: PlacedImage, points: list[_Point], count: int
) -> tuple[IndexedLine, list[tuple[int, bytes]]]:
    places = [project(*point) for point in points]
    xs, ys = [x for x, _ in places], [y for _, y in places]
    line = IndexedLine(count, min(xs), min(ys), max(xs), max(ys), *image[2:])
    shapes = []
    for kept in simplified(places):
        some = [points[at] for at in kept]
        shapes.append((len(some), packed(some)))
    return line, shapes
