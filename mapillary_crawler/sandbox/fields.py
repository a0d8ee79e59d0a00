"""The metadata of an image, a pure function of its place in the catalogue (Graph API: fields)."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from . import hostile, outing
from .identifiers import digest

if TYPE_CHECKING:
    from .image import Image

THUMBS = {f"thumb_{each}_url": each for each in ("256", "1024", "2048", "original")}
#: Every field of an image the API knows, in the order rows have them.
NAMES = (
    "altitude", "atomic_scale", "camera_parameters", "camera_type", "captured_at",
    "compass_angle", "computed_altitude", "computed_compass_angle", "computed_geometry",
    "computed_rotation", "creator", "exif_orientation", "geometry", "height", "is_pano", "make",
    "merge_cc", "mesh", "model", "organization", "quality_score", "sequence", "sfm_cluster",
    "detections", "width", *THUMBS, "id",
)  # fmt: skip
#: Fields that structure from motion gives; absent together where it failed.
_COMPUTED = ("atomic_scale", "computed_altitude", "computed_compass_angle", "computed_geometry",
             "computed_rotation", "merge_cc", "mesh", "sfm_cluster")  # fmt: skip
_OPTIONAL = (_COMPUTED, ("make", "model"), ("altitude",), ("quality_score",), ("creator",),
             ("camera_type", "camera_parameters"), ("exif_orientation",), ("width", "height"),
             ("compass_angle",), ("mesh", "sfm_cluster"))  # fmt: skip
_CAMERAS = (("GoPro", "HERO7 Black"), ("Apple", "iPhone 12 Pro"), ("samsung", "SM-G991B"),
            ("Xiaomi", "Mi A1"))  # fmt: skip
_SPHERICAL_CAMERAS = (("GoPro", "GoPro Max"), ("RICOH", "THETA V"))


def metadata(image: Image) -> dict[str, Any]:
    """Return all fields of an image but its URLs, absent ones left out (Graph API: never null)."""
    numbers = struct.unpack("<16I", digest(image.seed, image.number, "fields"))
    parts = [each / 2**32 for each in numbers]
    row = _plain(image, parts)
    specification = image.user.specification
    if parts[0] < specification.missing_fields:
        for position, group in enumerate(_OPTIONAL):
            if numbers[1] >> position & 1 or position == numbers[2] % len(_OPTIONAL):
                for field in group:
                    row.pop(field, None)
    if parts[3] < specification.odd_values:
        hostile.set_odd_value(row, numbers[4])
    if parts[5] < specification.odd_types:
        hostile.set_wrong_type(row, numbers[6])
    if isinstance(image.shown_id, type(...)):
        del row["id"]
    return row


def _plain(image: Image, parts: list[float]) -> dict[str, Any]:
    longitude, latitude = position(image)
    panorama = image.panorama
    heading = round(_heading(image, parts[7]), 2)
    cameras = _SPHERICAL_CAMERAS if panorama else _CAMERAS
    camera = cameras[image.line % len(cameras)]
    scale = round(0.95 + parts[8] / 10, 14) if parts[8] < 0.7 else 1
    row: dict[str, Any] = {
        "altitude": round(parts[9] * 900, 3),
        "atomic_scale": scale,
        "camera_parameters": [round(0.8 + parts[10] / 10, 14), round(parts[10] / 1e4, 18), 0],
        "camera_type": "perspective",
        "captured_at": image.captured_at,
        "compass_angle": heading,
        "computed_altitude": round(parts[9] * 4, 12),
        "computed_compass_angle": round((heading + parts[11]) % 360, 12),
        "computed_geometry": _point(longitude + parts[12] / 1e5, latitude - parts[12] / 1e5),
        "computed_rotation": [round(1 + parts[13], 13), round(parts[14] / 500, 16), -0.0353],
        "creator": {"username": image.user.name, "id": image.user.identity},
        "exif_orientation": 1,
        "geometry": _point(longitude, latitude),
        "height": image.photograph.height,
        "is_pano": panorama,
        "make": camera[0],
        "merge_cc": float(f"{parts[15] * 9e18:.12e}"),
        "mesh": {"id": str(10**14 + image.number), "url": "https://example.invalid/mesh.pbf"},
        "model": camera[1],
        "quality_score": round(parts[1], 13),
        "sequence": image.sequence,
        "sfm_cluster": {"id": str(2 * 10**14 + image.number), "url": "https://example.invalid/sfm"},
        "detections": {"data": [{"id": str(3 * 10**14 + image.number)}]},
        "width": image.photograph.width,
        "id": image.shown_id,
    }
    if panorama:
        row["camera_type"] = "spherical" if parts[1] < 0.5 else "equirectangular"
        row["camera_parameters"] = []
    return {name: value for name, value in row.items() if value is not None or name == "id"}


def _heading(image: Image, part: float) -> float:
    """Return where the camera looks, in degrees: anywhere, or along the street and a bit aside."""
    if not image.user.specification.streets:
        return part * 360
    return (outing.heading(image) + 8 * part - 4) % 360


def position(image: Image) -> tuple[float, float]:
    """Return longitude and latitude: each sequence is a line of its own, about 5 m a step."""
    if image.user.specification.streets:
        return outing.position(image)
    longitude, latitude = image.user.place
    east, north, slope = _line(image.seed, image.user.name, image.line)
    step = image.index % image.user.specification.sequence_length * 5e-5
    return longitude + east / 10 + step * slope, latitude + north / 10 + step * (1 - slope)


@lru_cache(64)
def _line(seed: int, username: str, line: int) -> tuple[float, float, float]:
    """Return where a sequence begins and how it runs, three numbers in [0, 1)."""
    numbers = struct.unpack("<3I", digest(seed, username, line, "line", size=12))
    return numbers[0] / 2**32, numbers[1] / 2**32, numbers[2] / 2**32


def _point(longitude: float, latitude: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [round(longitude, 12), round(latitude, 12)]}
