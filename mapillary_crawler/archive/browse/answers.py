"""What the viewer's page is told, as JSON can hold it; capture times are in ms since 1970.

`/api/c/NAME…` are these. What is asked for (`FILTER`: `day=` or `from=` with `to=` or `month=`,
`sequence=`, `camera=`, `pano=`; `bbox=west,south,east,north`) is read by `asked.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from mapillary_crawler.archive.browse import asked, world
from mapillary_crawler.archive.browse.pictures import type_of_name, where
from mapillary_crawler.archive.browse.shelf import Shelved
from mapillary_crawler.ledger.viewer_questions import ViewerIndex
from mapillary_crawler.ledger.viewer_records import Box, Line, ShownImage, Wanted

#: Of one map: lines, their points, single images; of one list: images.
_TRACKS, _POINTS, _IMAGES, _LISTED = 2_000, 30_000, 5_000, 1_000
_CAMERAS = 200
#: Bytes of a row as listed that are told.
_ROW_BYTES = 1 << 20
_WORLD = Box(-180, -90, 180, 90)

Query = Mapping[str, Any]


def collection(shelved: Shelved) -> dict[str, Any]:
    """Return what is said of a collection as a whole; its index is made where there is none."""
    index = shelved.index(fresh=True)
    facts = index.facts
    told = ("username", "quality", "saved", "gone", "unavailable", "failed", "first", "last",
            "bbox", "months", "panoramas", "placed", "undated", "bytes")  # fmt: skip
    removed = shelved.removed_tars(index)
    return {
        "name": shelved.name,
        **{name: facts[name] for name in told},
        "cameras": index.cameras(_CAMERAS),
        "problems": shelved.problems(index),
        "removed_parts": len(removed),
        "remote_item": removed[0] if removed else None,
    }


def days(shelved: Shelved, _: Query) -> dict[str, Any]:
    """Return days with their images and the number of the first; the undated last."""
    rows = shelved.index().days()
    return {"days": [(asked.day_name(day), count, first) for day, count, first in rows]}


def listed(shelved: Shelved, query: Query) -> dict[str, Any]:
    """Return images in the order of the manifests: numbers, ids, capture times."""
    offset = asked.whole(query, "offset", 1 << 53, 0)
    limit = asked.whole(query, "limit", _LISTED, 100)
    total, rows = shelved.index().listed(asked.wanted(query), offset, limit)
    return {"total": total, "images": rows}


def images(shelved: Shelved, query: Query) -> dict[str, Any]:
    """Return single images of a box: number, longitude, latitude, compass, 1 for a panorama."""
    rows, truncated = shelved.index().near(asked.wanted(query), _IMAGES)
    found = [
        (number, round(longitude, 7), round(latitude, 7), compass, pano)
        for number, longitude, latitude, compass, pano in rows
    ]
    return {"images": found, "truncated": truncated}


def tracks(shelved: Shelved, query: Query) -> dict[str, Any]:
    """Return the lines of a box, in as many points as its zoom shows.

    A sequence may have several: of its days, and where it leaves the box.
    """
    wanted, zoom = asked.wanted(query), asked.zoom(query)
    box = wanted.box or _WORLD
    index = shelved.index()
    lines, truncated = index.lines(wanted, _window(box))
    chosen = _distinct(lines, world.pixel(zoom))
    truncated = truncated or len(chosen) > _TRACKS
    numbers = [line.number for line in chosen[:_TRACKS]]
    detail = world.detail_at(zoom)
    found: list[dict[str, Any]] = []
    while True:
        found = _clipped(index, numbers, detail, box)
        if detail == 0 or sum(len(each["points"]) for each in found) <= _POINTS:
            return {"tracks": found, "truncated": truncated}
        detail -= 1


def _clipped(index: ViewerIndex, lines: list[int], detail: int, box: Box) -> list[dict[str, Any]]:
    return [
        {"sequence": sequence, "n": count, "points": points}
        for sequence, count, packed in index.shapes(lines, detail)
        for points in world.clipped(world.unpacked(packed), box)
    ]


def _window(box: Box) -> Box:
    """Return a box as a window of the world's map."""
    west, north = world.project(box.west, box.north)
    east, south = world.project(box.east, box.south)
    return Box(west, south, east, north)


def _distinct(lines: list[Line], pixel: float) -> list[Line]:
    """Return lines without those that would be a dot where another dot is."""
    dots = set()
    found = []
    for line in lines:
        if line.east - line.west < pixel and line.south - line.north < pixel:
            dot = int(line.west / pixel), int(line.north / pixel)
            if dot in dots:
                continue
            dots.add(dot)
        found.append(line)
    return found


def image(shelved: Shelved, number: int) -> dict[str, Any] | None:
    """Return what is known of an image, None where there is none of that number."""
    index = shelved.index()
    found = index.image(number)
    if found is None:
        return None
    record = found.record
    before, behind, place, count = index.beside(found)
    return {
        "number": record.number,
        "id": record.image_id,
        "sequence": found.sequence,
        "captured_at": record.captured_at,
        "lon": found.longitude,
        "lat": found.latitude,
        "compass": found.compass,
        "camera": found.camera,
        "pano": found.pano,
        "width": found.width,
        "height": found.height,
        "type": type_of_name(record.extension),
        "bytes": record.size,
        "file": record.member if record.extension else None,
        "day": asked.day_name(found.day),
        "previous": before,
        "next": behind,
        "where": where(shelved.folder, found),
        "position": (place, count),
        "metadata": _metadata(index, found),
    }


def _metadata(index: ViewerIndex, found: ShownImage) -> dict[str, Any]:
    """Return an image's fields as listed; none where a stranger's row is no row."""
    line = index.line(found)
    if len(line) > _ROW_BYTES:
        return {}
    try:
        fields = json.loads(line, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def selection(query: Query) -> tuple[list[int] | None, Wanted]:
    """Return what is to be downloaded or saved: images by their numbers, or what they fit."""
    numbers = asked.numbers(query)
    return numbers, Wanted() if numbers is not None else asked.wanted(query)
