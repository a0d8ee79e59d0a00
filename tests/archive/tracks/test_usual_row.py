"""Rows of the usual shape say the same as JSON does of them; others are left to JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.tracks.usual_row import usual_row
from mapillary_crawler.collection.names import sequence_name
from mapillary_crawler.graph.rows import canonical_line
from mapillary_crawler.image.fields import camera, camera_position
from mapillary_crawler.sandbox.catalogue import Catalogue

_AT = {"type": "Point", "coordinates": [13.4, 52.5]}
USUAL = {
    "altitude": 3.5, "camera_type": "perspective", "captured_at": 1, "computed_geometry": _AT,
    "computed_rotation": [1, 2, 3], "creator": {"username": "ann", "id": "1"}, "geometry": _AT,
    "height": 9, "id": "7", "is_pano": True, "make": "GoPro", "model": "Max é", "sequence": "s",
}  # fmt: skip
#: Text that could be taken for structure.
texts = st.text() | st.sampled_from(
    ["", '"make":"evil"', "{", "}", "]", "},{", '"geometry":{', "\\", '"', '","is_pano":true,"x":"']
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*USUAL, "x", "coordinates", "type"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def agrees(row: dict[str, Any]) -> bool:
    """Assert that a row is told of as by JSON, if at all; say whether it was."""
    line = canonical_line(row)
    usual = usual_row(line)
    if usual is not None:
        fields = json.loads(line)
        position = camera_position(fields)
        assert position is not None
        assert usual == (
            position.longitude,
            position.latitude,
            fields.get("is_pano") is True,
            camera(fields),
            sequence_name(fields.get("sequence")),
        ), line
    return usual is not None


@given(
    st.dictionaries(st.sampled_from(sorted(USUAL)), values), st.sets(st.sampled_from(sorted(USUAL)))
)
def test_whatever_the_fields_are(changed: dict[str, Any], absent: set[str]) -> None:
    agrees({name: value for name, value in (USUAL | changed).items() if name not in absent})


@given(st.sampled_from(sorted(USUAL)), values)
def test_whatever_one_field_is(name: str, value: Any) -> None:
    agrees(USUAL | {name: value})


def test_the_usual_row_is_read_so() -> None:
    assert agrees(USUAL)
    assert agrees(
        {name: value for name, value in USUAL.items() if name not in {"make", "sequence"}}
    )
    assert agrees({name: value for name, value in USUAL.items() if name[:8] != "computed"})
    assert agrees(USUAL | {"computed_geometry": None, "computed_rotation": None})
    assert agrees(USUAL | {"is_pano": False, "organization": {"id": "9"}})
    assert usual_row(b"") is None
    assert usual_row(b"\xff{}") is None
    assert usual_row(canonical_line(USUAL).replace(b"GoPro", b"\xff")) is None


def test_rows_of_the_service_are_read_so() -> None:
    rows = [
        image.metadata()
        for image in Catalogue([{"username": "a", "images": 50}]).user("a").images()
    ]
    assert sum(map(agrees, rows)) > 40


def test_hostile_rows_are_not_read_wrongly() -> None:
    user = {"username": "a", "images": 200, "hostile": 200, "odd_values": 1.0, "odd_types": 0.5}
    for image in Catalogue([user]).user("a").images():
        agrees(image.metadata())


@pytest.mark.parametrize(
    "row",
    [
        {"creator": {"id": "}", "geometry": _AT, "make": "evil"}},
        {"creator": {"geometry": _AT, "make": "evil"}, "geometry": None},
        {"computed_geometry": {"coordinates": [1, 2], "creator": {"x": 1}}},
        {"computed_geometry": {"coordinates": [[1, 2], 3]}},
        {"computed_geometry": {"coordinates": [181, 2]}},
        {"computed_geometry": {"coordinates": [1]}},
        {"organization": {"a": {}, "make": "evil"}, "make": None},
        {"make": 'x","model":"y'},
        {"sequence": 12},
        {"creator": {"id": "},", "name": "x"}},
        {"computed_rotation": [[1], {"a": [2], "creator": {}}]},
        {"computed_rotation": ["],", 1]},
        {"quality_score": {"a": 1, "sequence": "evil"}},
        {"width": {"make": "evil"}},
        {"is_pano": [True]},
    ],
    ids=range(15),
)
def test_rows_of_other_shapes_are_left_to_json(row: dict[str, Any]) -> None:
    assert not agrees(USUAL | row)
