"""Pure: lines as GeoJSON (RFC 7946).

The same lines make the same bytes: sorted keys, compact, a feature a row, five decimals (1.1 m).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from mapillary_crawler.archive.tracks.lines import Line, Point, moment

_DECIMALS = 5


def feature_collection(lines: Iterable[Line]) -> Iterator[bytes]:
    """Yield the rows of a FeatureCollection with a feature a line."""
    yield b'{"features":['
    between = b"\n"
    for line in lines:
        yield between + _json(_feature(line))
        between = b",\n"
    yield b'\n],"type":"FeatureCollection"}\n'


def _feature(line: Line) -> dict[str, Any]:
    places = [place for place, _ in groupby(map(_place, line.points))]
    kind = "LineString" if line.part else "MultiPoint"
    return {
        "geometry": {"coordinates": places[0], "type": "Point"}
        if len(places) == 1
        else {"coordinates": places, "type": kind},
        "properties": {
            "camera": line.camera or None,
            "first": None if line.first is None else moment(line.first),
            "images": line.images,
            "last": None if line.last is None else moment(line.last),
            "sequence": line.sequence or None,
        },
        "type": "Feature",
    }


def _place(point: Point) -> tuple[float, float]:
    """Return longitude and latitude; what rounds to zero has no sign."""
    return (
        round(point.longitude, _DECIMALS) + 0.0,
        round(point.latitude, _DECIMALS) + 0.0,
    )


def _json(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
