"""Pure: what lines want of a listed row, without reading all of its JSON.

Rows are canonical: sorted keys, compact, no URLs (`graph.rows.canonical_line`). Nearly all of them
have the objects `computed_geometry`, `creator`, `geometry`, perhaps `organization`, and no other;
some have no `computed_geometry`.

Whatever is matched as `,"key":` is a key: the first quotation mark is not one within a text, before
which there is a backslash, nor the end of a text, behind which there is no key. And it is a key of
the row itself: what is matched for an object or a list closes no more than it opens, so were it cut
off within, something would be open still at the end of the row, which no JSON has.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mapillary_crawler.image.fields import camera

#: Longitude and latitude in degrees, whether it is a panorama, the camera, the sequence's id.
Told = tuple[float, float, bool, str, str]

_NUMBER, _TEXT = rb"[-+.0-9Ee]*+", rb'"([^"\\\x00-\x1f]*+)"'
_OBJECT = rb"\{[^}]*+\}"
_POINT = rb'\{"coordinates":\[([^,]*+),([^]]*+)\],"type":"Point"\}'
_BEFORE = (
    ("computed_rotation", rb"\[[^]]*+\]"),
    ("creator", _OBJECT),
    ("exif_orientation", _NUMBER),
)
_BEHIND = (
    ("height", _NUMBER),
    ("id", rb'"[0-9]*+"'),
    ("is_pano", rb"(?:(true)|false)"),
    ("make", _TEXT),
    ("merge_cc", _NUMBER),
    ("model", _TEXT),
    ("organization", _OBJECT),
    ("quality_score", _NUMBER),
    ("sequence", _TEXT),
    ("width", _NUMBER),
)


def _first(name: bytes, value: bytes) -> bytes:
    return rb'(?<=[,{]"%b":)%b' % (name, value)


def _further(*fields: tuple[str, bytes]) -> bytes:
    return b"".join(b'(?:,"%b":%b)?+' % (name.encode(), value) for name, value in fields)


#: From the first object of a row on: the computed place, else the raw one, and what is behind it.
_computed = re.compile(
    _first(b"computed_geometry", _POINT)
    + _further(*_BEFORE, ("geometry", _OBJECT), *_BEHIND)
    + rb"\}"
).fullmatch
_raw = re.compile(
    _first(b"creator", _OBJECT)
    + _further(_BEFORE[-1])
    + rb',"geometry":'
    + _POINT
    + _further(*_BEHIND)
    + rb"\}"
).fullmatch


def usual_row(line: bytes) -> Told | None:
    """Return what JSON would say of a row; None for a row of another shape, which JSON is asked of.

    What is not named is empty.
    """
    first = line.find(b"{", 1)
    found = _computed(line, first) or _raw(line, first)
    if found is None:
        return None
    longitude, latitude, is_pano, make, model, sequence = found.groups(b"")
    try:
        x, y = float(longitude), float(latitude)
        if not (-180 <= x <= 180 and -90 <= y <= 90):
            return None
        return x, y, is_pano != b"", _camera(make, model), _sequence(sequence)
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _camera(make: bytes, model: bytes) -> str:
    """Return the camera's name; raises `UnicodeDecodeError`."""
    return camera({"make": make.decode(), "model": model.decode()})


@lru_cache(maxsize=256)
def _sequence(name: bytes) -> str:
    """Return a sequence's id, the same object again and again; raises `UnicodeDecodeError`."""
    return name.decode()
