"""Images by sequence become lines: split, joined and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.tracks import lines as module
from mapillary_crawler.archive.tracks.lines import Line, camera, lines, moment
from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.ledger.records import ImageRecord, State

Taken = tuple[str, int | None, dict[str, Any]]


def lines_of(taken: Sequence[Taken]) -> list[Line]:
    """Return the lines of images, each a path part, a time and the row's fields."""
    records = [
        ImageRecord(
            number, str(number), State.SAVED, time, capture_day(time), part, "jpg",
            None, None, 1, None, None, 0, number,
        )
        for number, (part, time, _) in enumerate(taken)
    ]  # fmt: skip
    return list(lines((record, taken[record.number][2]) for record in records))


def at(longitude: object, latitude: object = 1.0, **fields: Any) -> dict[str, Any]:
    return {"geometry": {"type": "Point", "coordinates": [longitude, latitude]}, **fields}


def test_a_line_a_sequence_with_its_times_and_its_camera() -> None:
    found = lines_of(
        [
            ("a", 5, at(1.0, sequence="A", make="GoPro\n")),
            ("a", 7, {}),
            ("a", None, at(2.0, altitude=3, make="Other")),
            ("b", 9, at(3.0)),
        ]
    )
    assert [(line.sequence, line.part, line.images) for line in found] == [
        ("A", "a", 3),
        ("b", "b", 1),
    ]
    first = found[0]
    assert (first.first, first.last, first.camera) == (5, 7, "GoPro")
    assert [point.longitude for point in first.points] == [1.0, 2.0]
    assert [point.altitude for point in first.points] == [None, 3.0]


def test_computed_places_come_before_raw_ones() -> None:
    fields = at(1.0) | {"computed_geometry": {"coordinates": [4.0, 5.0]}}
    (line,) = lines_of([("a", 1, fields)])
    assert line.points[0][:2] == (4.0, 5.0)


def test_images_without_a_sequence_are_a_line_a_day_that_is_not_connected() -> None:
    day = 86_400_000
    found = lines_of([("", 1, at(1.0)), ("", 2, at(2.0)), ("", day, at(3.0)), ("", None, at(4.0))])
    assert [(line.part, line.day, len(line.points)) for line in found] == [
        ("", "1970-01-01", 2),
        ("", "1970-01-02", 1),
        ("", "unknown-date", 1),
    ]


def test_a_sequence_without_a_place_has_no_line() -> None:
    assert lines_of([("a", 1, {}), ("b", 1, at(math.nan)), ("c", 1, at(181.0))]) == []


def test_a_line_across_the_meridian_goes_on_on_the_other_side() -> None:
    found = lines_of([("a", 1, at(179.9)), ("a", 2, at(-179.9)), ("a", 3, at(-179.8))])
    assert [[point.longitude for point in line.points] for line in found] == [
        [179.9],
        [-179.9, -179.8],
    ]
    assert [line.images for line in found] == [1, 2]


def test_an_endless_sequence_goes_on_in_a_further_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 3)
    found = lines_of([("a", n, at(float(n))) for n in range(5)])
    assert [[point.longitude for point in line.points] for line in found] == [
        [0, 1, 2],
        [2, 3, 4],
    ]
    assert [line.images for line in found] == [3, 2]
    apart = lines_of([("", n, at(float(n))) for n in range(5)])
    assert [len(line.points) for line in apart] == [3, 2]


def test_words_for_cameras_and_moments() -> None:
    assert camera({"make": "Apple", "model": None}) == "Apple"
    assert camera({"make": ["x"], "model": 5}) == ""
    assert moment(1_705_320_000_007) == "2024-01-15T12:00:00.007Z"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    ["geometry", "computed_geometry", "altitude", "make", "model", "sequence", "captured_at"]
)


@given(st.lists(st.dictionaries(_NAMES, _JSON), max_size=4))
def test_whatever_the_fields_are_all_placed_images_are_in_lines(rows: list[dict[str, Any]]) -> None:
    found = lines_of([("s", 1, row) for row in rows])
    assert all(line.points for line in found)
    assert sum(line.images for line in found) in (0, len(rows))
