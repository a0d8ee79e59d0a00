"""Pure: the world's map, and lines on it in as few points as a zoom shows.

A place on the map is in units of its side: x from west to east, y from north to south, in 0..1, by
the projection of all web maps (EPSG:3857). At zoom z the map is 256 * 2^z pixels wide.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from mapillary_crawler.archive.tracks.douglas_peucker import douglas_peucker

#: Zooms for which lines are simplified, a pixel at most aside; behind them all points.
DETAILS = (2, 5, 8, 11, 14)
ALL_POINTS = len(DETAILS)
_TILE = 256
#: Degrees at which the map ends (EPSG:3857).
_NORTH = 85.051129
#: Of packed points: ten millionths of a degree, about a centimetre.
_UNIT = 10_000_000
#: How often a line is halved at most: one that is made to be slow keeps more points instead.
_DEPTH = 40


def project(longitude: float, latitude: float) -> tuple[float, float]:
    """Return the place of a point on the map."""
    bounded = max(-_NORTH, min(_NORTH, latitude))
    sine = math.sin(math.radians(bounded))
    return (
        (longitude + 180) / 360,
        0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi),
    )


def pixel(zoom: float) -> float:
    """Return the side of a pixel at a zoom."""
    return 1 / (_TILE * 2**zoom)


def detail_at(zoom: float) -> int:
    """Return the coarsest detail that shows no difference at a zoom."""
    return next((number for number, each in enumerate(DETAILS) if each >= zoom), ALL_POINTS)


def simplified(points: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Return which points of a line, given by places on the map, each detail keeps, all last."""
    details = [list(range(len(points)))]
    for zoom in reversed(DETAILS):
        details.append(douglas_peucker(points, details[-1], pixel(zoom), _DEPTH))
    return details[::-1]


def packed(points: Sequence[tuple[float, float]]) -> bytes:
    """Return points in degrees as bytes of this machine."""
    return array("i", (round(degrees * _UNIT) for point in points for degrees in point)).tobytes()


def unpacked(content: bytes) -> list[tuple[float, float]]:
    """Return points in degrees, to six decimals; those of what is no such bytes are none."""
    numbers = array("i")
    numbers.frombytes(content[: len(content) // 8 * 8])
    degrees = [round(number / _UNIT, 6) for number in numbers]
    return list(zip(degrees[::2], degrees[1::2], strict=True))


def clipped(
    points: Sequence[tuple[float, float]], box: tuple[float, float, float, float]
) -> list[list[tuple[float, float]]]:
    """Return the stretches of a line whose parts may touch a box in degrees.

    West may be above east. A single point is a stretch where it lies inside.
    """
    west, south, east, north = box
    wraps = west > east

    def aside(point: tuple[float, float]) -> int:
        """Return on which sides of the box a point lies, a bit each."""
        longitude, latitude = point
        sides = (latitude < south) | (latitude > north) << 1
        if wraps:
            return sides | (east < longitude < west) << 2
        return sides | (longitude < west) << 2 | (longitude > east) << 3

    if len(points) == 1:
        return [] if aside(points[0]) else [list(points)]
    stretches: list[list[tuple[float, float]]] = []
    follows = False
    before = aside(points[0])
    for at in range(1, len(points)):
        behind = aside(points[at])
        if before & behind:
            follows = False
        elif follows:
            stretches[-1].append(points[at])
        else:
            stretches.append([points[at - 1], points[at]])
            follows = True
        before = behind
    return stretches
