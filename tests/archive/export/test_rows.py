"""Rows of the table: what is known, and nothing that a field only looks like."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.export.rows import COLUMNS, Rows
from mapillary_crawler.ledger.records import SavedImage, State

NOON = 1_705_320_000_123
FULL = {
    "sequence": "a_uX", "altitude": 4294967281, "computed_compass_angle": 370.5,
    "camera_type": "perspective", "is_pano": False, "make": "GoPro", "model": "HERO7\n",
    "width": 4000, "height": 3000, "geometry": {"coordinates": [1.5, 2.5]},
}  # fmt: skip


def image(tar: str | None = "2024-01-15.tar", state: State = State.SAVED) -> SavedImage:
    return SavedImage("5", state, NOON, "2024-01-15", "a_u5f_uX", "jpg", 9, tar, 512, 0, 0)


def row(fields: dict[str, Any], of: SavedImage | None = None) -> dict[str, Any]:
    return dict(zip(COLUMNS, Rows().row(of or image(), fields), strict=True))


def test_what_is_known() -> None:
    assert row(FULL) == {
        "id": "5", "captured_at": NOON, "sequence": "a_uX",
        "geometry": struct.pack("<BIdd", 1, 1, 1.5, 2.5), "computed": False, "altitude": -15.0,
        "heading": 10.5, "camera_type": "perspective", "is_pano": False, "make": "GoPro",
        "model": "HERO7", "width": 4000, "height": 3000, "damaged": False, "member": None,
        "tar": "2024-01-15.tar", "offset": 512, "size": 9,
    }  # fmt: skip


def test_what_is_not_known_is_none() -> None:
    found = row({}, image(tar=None, state=State.DAMAGED))
    assert found["member"] == "2024-01-15/a_u5f_uX/5.jpg"
    assert found["damaged"] is True
    assert found["sequence"] == "a_u5f_uX"
    for name in ("geometry", "computed", "altitude", "heading", "make", "width", "is_pano", "tar"):
        assert found[name] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("width", 1 << 40), ("width", True), ("width", "5"), ("is_pano", 1),
     ("make", " \x00"), ("make", ["GoPro"]), ("altitude", float("inf"))],
)  # fmt: skip
def test_what_is_no_value(field: str, value: object) -> None:
    assert row(FULL | {field: value})[field] is None


def test_the_box_is_around_all_points() -> None:
    rows = Rows()
    assert rows.box is None
    for longitude, latitude in ((1.0, 5.0), (-3.0, 2.0), (0.0, 3.0), (2.0, 9.0)):
        rows.row(image(), {"geometry": {"coordinates": [longitude, latitude]}})
    assert rows.box == (-3.0, 2.0, 2.0, 9.0)


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats())
)


@given(st.dictionaries(st.sampled_from(sorted(FULL)), _VALUES))
def test_whatever_the_fields_are_a_row_can_be_made(fields: dict[str, Any]) -> None:
    found = row(fields)
    assert found["id"] == "5"
    for name in ("make", "model", "camera_type", "sequence"):
        assert found[name] is None or isinstance(found[name], str)
