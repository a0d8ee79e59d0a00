"""Pure: what lines want of a listed row, without reading all of its JSON.

Rows are canonical: sorted keys, compact, no URLs (`graph.rows.canonical_line`). Nearly all of them
have three objects and no more: `computed_geometry`, `creator`, `geometry`. Of such a row, without a
backslash, each `"key":` before, between and behind these is a key of the row itself.
"""

from __future__ import annotations

from typing import Any

_PLACE = b'"computed_geometry":{"coordinates":['
_OBJECT, _OBJECTS = len(b'"computed_geometry":'), 3
_CREATOR, _GEOMETRY = b'"creator":', b'"geometry":'
_TEXTS = (("make", b'"make":"'), ("model", b'"model":"'), ("sequence", b'"sequence":"'))


def usual_fields(line: bytes) -> dict[str, Any] | None:
    """Return place, camera, sequence and whether it is a panorama, as JSON would have them.

    None for a row of another shape, which JSON is asked of.
    """
    at = line.find(_PLACE)
    end = line.find(b"}", at)
    creator = line.find(b"{", end)
    creator_end = line.find(b"}", creator)
    geometry = line.find(b"{", creator_end)
    behind = line.find(b"}", geometry)
    if (
        at < 0
        or line.find(b"{", 1) != at + _OBJECT
        or line.find(b"{", at + len(_PLACE)) != creator
        or line.find(b"{", creator + 1) != geometry
        or line.find(b"{", geometry + 1) >= 0
        or line[creator - len(_CREATOR) : creator] != _CREATOR
        or line[geometry - len(_GEOMETRY) : geometry] != _GEOMETRY
        or line.count(b"}") != _OBJECTS + 1
        or b"\\" in line
    ):
        return None
    try:
        longitude, latitude = map(float, line[at + len(_PLACE) : line.index(b"]", at)].split(b","))
        return _fields(longitude, latitude, line[behind:])
    except ValueError:
        return None


def _fields(longitude: float, latitude: float, tail: bytes) -> dict[str, Any] | None:
    """Return the fields; `tail` is what stands behind the last object. May raise `ValueError`."""
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        return None
    fields: dict[str, Any] = {
        "computed_geometry": {"coordinates": [longitude, latitude]},
        "is_pano": b'"is_pano":true' in tail,
    }
    for name, key in _TEXTS:
        start = tail.find(key)
        if start >= 0:
            start += len(key)
            fields[name] = tail[start : tail.index(b'"', start)].decode()
        elif key[:-1] in tail:  # no text
            return None
    return fields
