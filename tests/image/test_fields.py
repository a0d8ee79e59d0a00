"""What an image's fields say, however hostile they are."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.image import fields as image_fields

NO_NUMBERS = [
    *(None, True, False, "12.5", [1], {"a": 1}),
    *(math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e300),
]


def point(longitude: Any, latitude: Any) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude, latitude]}


def test_computed_position_before_raw():
    both = {"geometry": point(1, 2), "computed_geometry": point(3, 4)}
    assert image_fields.camera_position(both) == (4, 3, "computed")
    assert image_fields.camera_position({"geometry": point(1, 2)}) == (2, 1, "raw")


def test_zero_is_a_position():
    assert image_fields.camera_position({"geometry": point(0, 0)}) == (0, 0, "raw")


@pytest.mark.parametrize(
    "bad",
    [
        *(point(value, 0) for value in NO_NUMBERS),
        *(point(0, value) for value in NO_NUMBERS),
        *(point(180.001, 0), point(0, -90.001), None, 7, "x", [], {}, {"coordinates": None}),
        *({"coordinates": [1]}, {"coordinates": {"0": 1}}, {"coordinates": [[1, 2], [3, 4]]}),
    ],
)
def test_a_bad_computed_position_gives_way_to_the_raw_one(bad: Any):
    assert image_fields.camera_position({"computed_geometry": bad}) is None
    good = point(13.4, 52.5)
    found = image_fields.camera_position({"computed_geometry": bad, "geometry": good})
    assert found == (52.5, 13.4, "raw")


@pytest.mark.parametrize(
    ("given_altitude", "metres"),
    [
        *((0, 0), (0.0, 0), (-12.4, -12.4), (8848, 8848), (1364.617, 1364.617)),
        *((4294967281, -15), (4294967281.25, -14.75), (2**32, None), (2**31, None)),
        *((-20_000, None), (200_000, None)),
        *((value, None) for value in NO_NUMBERS),
    ],
)
def test_altitude(given_altitude: Any, metres: float | None):
    metadata = {"altitude": given_altitude, "computed_altitude": 77}
    assert image_fields.altitude(metadata) == metres


@pytest.mark.parametrize(
    ("computed", "raw", "degrees"),
    [
        *((0.0, 123, 0), (None, 0, 0), (359.9999999, None, 0), (360, None, 0), (725, None, 5)),
        *((-90, None, 270), (None, -1, None), (None, -1.0, None), (-1, None, 359)),
        *((1.2865829255371, 336.74, 1.286583), (math.nan, 336.74, 336.74), (1e300, 2, 2)),
        *((value, None, None) for value in NO_NUMBERS),
    ],
)
def test_heading(computed: Any, raw: Any, degrees: float | None):
    metadata = {"computed_compass_angle": computed, "compass_angle": raw}
    assert image_fields.heading(metadata) == degrees


@pytest.mark.parametrize(
    ("fields", "millimetres"),
    [
        ({}, 31),
        ({"is_pano": False}, 31),
        ({"camera_parameters": [0.4686]}, 17),
        ({"camera_parameters": [1]}, 36),
        ({"camera_type": "fisheye"}, None),
        ({"camera_type": "spherical"}, None),
        ({"camera_type": None}, None),
        ({"camera_type": ["perspective"]}, None),
        ({"is_pano": True}, None),
        ({"camera_parameters": []}, None),
        ({"camera_parameters": 0.85}, None),
        ({"camera_parameters": {"0": 0.85}}, None),
        *(({"camera_parameters": [share]}, None) for share in (0, 0.05, -0.85, 101, *NO_NUMBERS)),
    ],
)
def test_focal_length_on_film(fields: dict[str, Any], millimetres: int | None):
    metadata = {"camera_type": "perspective", "camera_parameters": [0.85136388143343, -0.1, 0]}
    assert image_fields.focal_length(metadata | fields) == millimetres


@given(st.floats(-1_000_000, 1_000_000))
def test_heading_is_never_360(angle: float):
    heading = image_fields.heading({"computed_compass_angle": angle})
    assert heading is not None
    assert 0 <= heading < 360
    difference = abs(heading - angle % 360)
    assert min(difference, 360 - difference) < 1e-6


@pytest.mark.parametrize(
    ("fields", "size", "expected"),
    [
        ({"camera_type": "spherical"}, (100, 50), True),
        ({"camera_type": "equirectangular"}, (100, 50), True),
        ({"camera_type": "perspective", "is_pano": True}, (100, 50), False),
        ({"camera_type": "fisheye"}, (100, 50), False),
        ({"is_pano": True}, (2048, 1024), True),
        ({"is_pano": True}, (2048, 1020), True),
        ({"is_pano": True}, (2048, 500), None),
        ({"camera_type": "spherical"}, (400, 100), None),
        ({"camera_type": "equirectangular", "is_pano": False}, (100, 100), None),
        ({"is_pano": False}, (100, 50), False),
        ({"is_pano": "true", "camera_type": 7}, (100, 50), None),
        ({}, (100, 50), None),
    ],
)
def test_sphere(fields: dict[str, Any], size: tuple[int, int], expected: bool | None):
    assert image_fields.is_sphere(fields, *size) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("Citroën 日本", "Citroën 日本"), ("  a\0b\r\nc ", "a b c"), ("\ud800x", "\ufffdx")),
        *(("", ""), (" \n", ""), (None, ""), (7, ""), (["a"], ""), ("x" * 10**6, "x" * 200)),
    ],
)
def test_text(value: object, expected: str):
    assert image_fields.text(value) == expected


def test_words_for_cameras() -> None:
    assert image_fields.camera({"make": "Apple", "model": None}) == "Apple"
    assert image_fields.camera({"make": "GoPro\n", "model": " Max"}) == "GoPro Max"
    assert image_fields.camera({"make": ["x"], "model": 5}) == ""
