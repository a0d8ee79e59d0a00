"""Lines, made of points."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

from mapillary_crawler.archive.tracks.lines import Line, Point


def line_of(points: Sequence[Point], sequence: str, **fields: Any) -> Line:
    """Return a line of an image a point; more fields replace made ones."""
    longitudes, latitudes, altitudes, times = zip(*points, strict=True)
    heights = [math.nan if altitude is None else altitude for altitude in altitudes]
    known = [time for time in times if time is not None]
    made: dict[str, Any] = {
        "part": sequence,
        "day": "",
        "images": len(points),
        "first": min(known, default=None),
        "last": max(known, default=None),
    }
    columns = [array("d", column) for column in (longitudes, latitudes, heights)]
    made |= dict(zip(("longitudes", "latitudes", "heights"), columns, strict=True))
    return Line(sequence, **(made | {"times": list(times)} | fields))
