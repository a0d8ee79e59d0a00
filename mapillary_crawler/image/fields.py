"""What an image's fields say about place, direction and camera, or that they say nothing.

Pure. The fields come from the Graph API as they are: any may be absent, null, of
another type, not a number, infinite or enormous. 0 is a value; unknown is None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Mapillary: the licence of every image.
LICENCE = "CC BY-SA 4.0"

# Metres; from below the deepest sea to above any aircraft. Outside it is no altitude.
_LOWEST, _HIGHEST = -12_000, 100_000
# Degrees; further away a float no longer tells one direction from another.
_LARGEST_ANGLE = 1_000_000
_WRAP = 2**32
# Shares of the larger side; from the widest lens that is none for fish-eyes to any telescope.
_FOCAL = (0.1, 100)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Halves of surrogate pairs and what XML cannot hold.
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufffe\uffff]")

#: Graph API: the two names of the full sphere.
_SPHERES = frozenset({"spherical", "equirectangular"})


class Position(NamedTuple):
    """Degrees in WGS 84, and which of the two geometries they are of."""

    latitude: float
    longitude: float
    geometry: Literal["computed", "raw"]


def camera_position(metadata: Mapping[str, Any]) -> Position | None:
    """Return the computed position, else the raw one."""
    return _position(metadata.get("computed_geometry"), "computed") or _position(
        metadata.get("geometry"), "raw"
    )


def _position(point: object, geometry: Literal["computed", "raw"]) -> Position | None:
    coordinates = point.get("coordinates") if isinstance(point, dict) else None
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return None
    longitude, latitude = coordinates[0], coordinates[1]
    if not (type(longitude) is type(latitude) is float):
        longitude, latitude = _number(longitude, -180, 180), _number(latitude, -90, 90)
        if longitude is None or latitude is None:
            return None
    if -180 <= longitude <= 180 and -90 <= latitude <= 90:
        return Position(latitude, longitude, geometry)
    return None


def altitude(metadata: Mapping[str, Any]) -> float | None:
    """Return metres above the sea, from `altitude` alone.

    `computed_altitude` is often a height above the ground. Negative altitudes
    come as unsigned 32-bit numbers at times (Graph API: 4294967281 is -15).
    """
    metres = _number(metadata.get("altitude"), _LOWEST, _WRAP)
    if metres is None or metres <= _HIGHEST:
        return metres
    return metres - _WRAP if _WRAP + _LOWEST <= metres < _WRAP else None


def heading(metadata: Mapping[str, Any]) -> float | None:
    """Return degrees clockwise from north in [0, 360), to the millionth; computed before raw.

    A raw angle of exactly -1 was the old API's "unknown".
    """
    angle = _number(metadata.get("computed_compass_angle"), -_LARGEST_ANGLE, _LARGEST_ANGLE)
    if angle is None:
        angle = _number(metadata.get("compass_angle"), -_LARGEST_ANGLE, _LARGEST_ANGLE)
        if angle is None or angle == -1:
            return None
    # Rounded first: 359.9999999 must not be written as 360.
    return round(angle * 1_000_000) % 360_000_000 / 1_000_000


def focal_length(metadata: Mapping[str, Any]) -> int | None:
    """Return the focal length on 35 mm film, in mm, of a picture in central projection.

    Graph API: `camera_parameters` begin with the focal length as a share of the larger side,
    which is 36 mm on film. For other projections the number stands for something else.
    """
    parameters = metadata.get("camera_parameters")
    if metadata.get("camera_type") != "perspective" or metadata.get("is_pano") is True:
        return None
    share = _number(parameters[0], *_FOCAL) if isinstance(parameters, list) and parameters else None
    return None if share is None else round(36 * share)


def is_sphere(metadata: Mapping[str, Any], width: int, height: int) -> bool | None:
    """Say whether the pixels are a whole equirectangular panorama; None if nobody knows.

    One is twice as wide as high (within 1 %, thumbnails are rounded). What the row calls a
    panorama and has other sides may be a part of one, or a cylinder, for which `is_pano` was
    set as well.
    """
    camera = metadata.get("camera_type")
    panorama = metadata.get("is_pano")
    if isinstance(camera, str) and camera:
        panorama = camera in _SPHERES
    if panorama is True and abs(width - 2 * height) * 100 <= width:
        return True
    return False if panorama is False else None


def camera(metadata: Mapping[str, Any]) -> str:
    """Return maker and model of the camera, "" where neither is known."""
    words = (text(metadata.get("make")), text(metadata.get("model")))
    return " ".join(filter(None, words))


def author(username: str) -> str:
    """Return the name as Mapillary shows it."""
    return f"@{text(username)}"


def rights(username: str) -> str:
    """Return the attribution that the licence asks for."""
    return f"{author(username)}, Mapillary, {LICENCE}"


def text(value: object, limit: int = 200) -> str:
    """Return a string of at most `limit` characters fit for EXIF and XMP; "" if it is none."""
    if not isinstance(value, str):
        return ""
    cut = _NO_CHARACTER.sub("\ufffd", _CONTROL.sub(" ", value[: 4 * limit]))
    return cut.strip()[:limit].rstrip()


def _number(value: object, lowest: float, highest: float) -> float | None:
    """Return a JSON number within the bounds; true and false are none, nor is NaN."""
    if type(value) is float:
        return value if lowest <= value <= highest else None
    return float(value) if type(value) is int and lowest <= value <= highest else None
