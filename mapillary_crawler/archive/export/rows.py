"""Pure: what a table says of an image: where, when, by what camera, and where its bytes are."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mapillary_crawler.collection.names import capture_time, sequence_name
from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.ledger.records import State

if TYPE_CHECKING:
    from mapillary_crawler.ledger.records import SavedImage

#: The columns; docs/data-format.md says what each is. What is not known is None.
COLUMNS = (
    "id", "captured_at", "sequence", "geometry", "computed", "altitude", "heading", "camera_type",
    "is_pano", "make", "model", "width", "height", "damaged", "member", "tar", "offset", "size",
)  # fmt: skip

#: Well-known binary of a point: little-endian, type 1 (OGC 06-103r4).
_POINT = struct.Struct("<BIdd")
#: Pixels of a side that are believed, and numbers that a column of 64 bits holds.
_MOST_PIXELS, _MOST = 1 << 20, 1 << 62

#: West, south, east, north.
Box = tuple[float, float, float, float]


class Rows:
    """Makes rows of images, in the order of `COLUMNS`, and knows the box around all of them."""

    def __init__(self) -> None:
        self._west = self._south = math.inf
        self._east = self._north = -math.inf

    @property
    def box(self) -> Box | None:
        """The box around all that have a place, None without one."""
        box = self._west, self._south, self._east, self._north
        return box if math.isfinite(self._west) else None

    def row(self, image: SavedImage, fields: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return an image's row; `member` is told of those that are in no tar."""
        image_id, state, captured_at, _, sequence, extension, size, tar, offset, _, _ = image
        value = fields.get
        geometry = is_computed = None
        position = image_fields.camera_position(fields)
        if position is not None:
            latitude, longitude, which = position
            geometry = _POINT.pack(1, 1, longitude, latitude)
            is_computed = which == "computed"
            if not (self._west < longitude < self._east and self._south < latitude < self._north):
                self._extend(longitude, latitude)
        is_pano, width, height = value("is_pano"), value("width"), value("height")
        camera_type, make, model = _words(value("camera_type"), value("make"), value("model"))
        return (
            image_id,
            capture_time(captured_at),
            sequence_name(value("sequence")) or sequence or None,
            geometry,
            is_computed,
            image_fields.altitude(fields),
            image_fields.heading(fields),
            camera_type,
            is_pano if is_pano is True or is_pano is False else None,
            make,
            model,
            width if type(width) is int and 0 < width < _MOST_PIXELS else None,
            height if type(height) is int and 0 < height < _MOST_PIXELS else None,
            state == State.DAMAGED,
            image.member if tar is None and extension else None,
            tar,
            offset if offset is not None and 0 <= offset < _MOST else None,
            size if size is not None and 0 <= size < _MOST else None,
        )

    def _extend(self, longitude: float, latitude: float) -> None:
        self._west, self._east = min(self._west, longitude), max(self._east, longitude)
        self._south, self._north = min(self._south, latitude), max(self._north, latitude)


def _words(*values: object) -> tuple[str | None, ...]:
    """Return what is text, for tables, of values that come again and again."""
    try:
        return _cleaned(*values)
    except TypeError:  # a list or an object
        return _cleaned(*(value if isinstance(value, str) else None for value in values))


@lru_cache(256)
def _cleaned(*values: object) -> tuple[str | None, ...]:
    return tuple(image_fields.text(value) or None for value in values)
