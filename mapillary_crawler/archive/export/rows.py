"""Pure: what a table says of an image: where, when, by what camera, and where its bytes are."""

from __future__ import annotations

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
        self.box: Box | None = None

    def row(self, image: SavedImage, fields: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return an image's row; `member` is told of those that are in no tar."""
        position = image_fields.camera_position(fields)
        geometry = None
        if position is not None:
            geometry = _POINT.pack(1, 1, position.longitude, position.latitude)
            self._extend(position.longitude, position.latitude)
        is_pano = fields.get("is_pano")
        return (
            image.image_id,
            capture_time(image.captured_at),
            sequence_name(fields.get("sequence")) or image.sequence or None,
            geometry,
            None if position is None else position.geometry == "computed",
            image_fields.altitude(fields),
            image_fields.heading(fields),
            _text(fields.get("camera_type")),
            is_pano if isinstance(is_pano, bool) else None,
            _text(fields.get("make")),
            _text(fields.get("model")),
            _pixels(fields.get("width")),
            _pixels(fields.get("height")),
            image.state == State.DAMAGED,
            image.member if image.tar is None and image.extension else None,
            image.tar,
            _number(image.offset),
            _number(image.size),
        )

    def _extend(self, longitude: float, latitude: float) -> None:
        west, south, east, north = self.box or (longitude, latitude, longitude, latitude)
        if not (west < longitude < east and south < latitude < north):
            self.box = (
                min(west, longitude),
                min(south, latitude),
                max(east, longitude),
                max(north, latitude),
            )


def _text(value: object) -> str | None:
    return _cleaned(value) if isinstance(value, str) else None


@lru_cache(256)
def _cleaned(value: str) -> str | None:
    return image_fields.text(value) or None


def _pixels(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < _MOST_PIXELS else None


def _number(value: int | None) -> int | None:
    return value if value is not None and 0 <= value < _MOST else None
