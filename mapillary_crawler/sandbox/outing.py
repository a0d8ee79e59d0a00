"""Sequences as outings: along streets, one after another in time, each with one camera.

What a user is made of where its `streets` are given; a pure function of the image's place.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .identifiers import digest, draw

if TYPE_CHECKING:
    from .catalogue import User
    from .image import Image

#: Degrees of latitude between two images: some 6 m.
_STEP = 5e-5
#: Milliseconds between two images, at most.
_PACE = 3000
#: Blocks from the middle within which sequences begin.
_AROUND = 8
#: Part of the time between two outings that their beginning may be moved by.
_MOVED = 0.8


class Stand(NamedTuple):
    """Where an image was taken from, in steps to the east and north, and the way of the outing."""

    east: float
    north: float
    heading: float


def position(image: Image) -> tuple[float, float]:
    """Return longitude and latitude; the streets are a grid, whose blocks are square."""
    longitude, latitude = image.user.place
    stand = _stand(image)
    east = stand.east * _STEP / math.cos(math.radians(latitude))
    return longitude + east, latitude + stand.north * _STEP


def heading(image: Image) -> float:
    """Return the way that the outing went, in degrees clockwise from the north."""
    return _stand(image).heading


def time(user: User, index: int, newest: int, span: int) -> int:
    """Return the capture time in ms: images of an outing within minutes, outings over `span` ms."""
    length = user.specification.sequence_length
    line, step = divmod(index, length)
    apart = span // max(1, -(-user.size // length))
    moved = _MOVED * draw(user.seed, user.name, line, "outing")
    pace = max(1, min(_PACE, int(apart * (1 - _MOVED)) // length))
    return newest - int((line + moved) * apart) - step * pace


def drawn(image: Image, what: str) -> float:
    """Return a number in [0, 1) that all images of a sequence share."""
    return draw(image.seed, image.user.name, image.line, what)


def _stand(image: Image) -> Stand:
    special = image.user.specification
    corner, beyond = divmod(image.index % special.sequence_length, special.streets)
    corners = _corners(
        image.seed, image.user.name, image.line, special.streets,
        special.sequence_length // special.streets + 1,
    )  # fmt: skip
    east, north, heading = corners[corner]
    angle = math.radians(heading)
    # The listing is newest first, so that the outing went against its indices.
    stand = east - beyond * math.sin(angle), north - beyond * math.cos(angle)
    return Stand(*stand, heading)


@lru_cache(64)
def _corners(seed: int, username: str, line: int, block: int, count: int) -> list[Stand]:
    """Return the corners of a sequence, the last one that was come to first."""
    parts = digest(seed, username, line, "corners", size=12)
    turns = [digest(seed, username, line, number, "turn", size=1)[0] for number in range(count)]
    east, north = (float(block * (part % (2 * _AROUND + 1) - _AROUND)) for part in parts[:2])
    heading = parts[2] % 4 * 90
    corners = []
    for turn in turns:
        corners.append(Stand(east, north, heading))
        angle = math.radians(heading)
        east, north = east - block * math.sin(angle), north - block * math.cos(angle)
        heading = (heading + (0, 0, 90, 270)[turn % 4]) % 360
    return corners
