"""Images by sequence become lines: split, joined and counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.tracks import lines as module
from mapillary_crawler.archive.tracks.lines import Line, lines, moment
from mapillary_crawler.archive.tracks.stretches import Columns, Stretch, columns_of
from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.graph.rows import canonical_line

Taken = tuple[str, int | None, dict[str, Any]]


def lines_of(taken: Sequence[Taken], *, together: bool = True) -> list[Line]:
    """Return the lines of images, each a path part, a time and the row's fields.

    All that follow one another in a sequence and day are given at once, or each by itself.
    """
    groups = groupby(taken, lambda each: (each[0], capture_day(each[1])))
    stretches = [
        Stretch(part, day, [time for _, time, _ in some], told(fields for *_, fields in some))
        for (part, day), images in groups
        for some in [list(images)]
    ]
    each = [image for stretch in stretches for image in stretch.each()]
    return list(lines(stretches if together else each))


def told(rows: Iterable[dict[str, Any]]) -> Columns:
    return columns_of([canonical_line(row) for row in rows], heights=True)


def longitudes(found: Sequence[Line]) -> list[list[float]]:
    return [list(line.longitudes) for line in found]


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
    assert list(first.points()) == [(1.0, 1.0, None, 5), (2.0, 1.0, 3.0, None)]


def test_computed_places_come_before_raw_ones() -> None:
    fields = at(1.0) | {"computed_geometry": {"coordinates": [4.0, 5.0]}}
    (line,) = lines_of([("a", 1, fields)])
    assert list(line.places()) == [(4.0, 5.0)]


def test_images_without_a_sequence_are_a_line_a_day_that_is_not_connected() -> None:
    day = 86_400_000
    found = lines_of([("", 1, at(1.0)), ("", 2, at(2.0)), ("", day, at(3.0)), ("", None, at(4.0))])
    assert [(line.part, line.day, len(line)) for line in found] == [
        ("", "1970-01-01", 2),
        ("", "1970-01-02", 1),
        ("", "unknown-date", 1),
    ]


def test_a_sequence_without_a_place_has_no_line() -> None:
    assert lines_of([("a", 1, {}), ("b", 1, at(math.nan)), ("c", 1, at(181.0))]) == []


def test_a_line_across_the_meridian_goes_on_on_the_other_side() -> None:
    found = lines_of([("a", 1, at(179.9)), ("a", 2, at(-179.9)), ("a", 3, at(-179.8))])
    assert longitudes(found) == [[179.9], [-179.9, -179.8]]
    assert [line.images for line in found] == [1, 2]


def test_an_endless_sequence_goes_on_in_a_further_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 3)
    found = lines_of([("a", n, at(float(n))) for n in range(5)])
    assert longitudes(found) == [[0, 1, 2], [2, 3, 4]]
    assert next(found[1].points()) == (2, 1, None, 2)
    assert [line.images for line in found] == [3, 2]
    apart = lines_of([("", n, at(float(n))) for n in range(5)])
    assert [len(line) for line in apart] == [3, 2]


def test_words_for_moments() -> None:
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
    assert all(found)
    assert sum(line.images for line in found) in (0, len(rows))


_PLACES = st.none() | st.sampled_from([-179.0, -91.0, 0.0, 91.0, 179.0])
_TIMES = st.none() | st.integers(0, 2 * 86_400_000)


@given(st.lists(st.tuples(st.sampled_from(["", "a"]), _TIMES, _PLACES), max_size=12))
def test_images_make_the_same_lines_together_and_each_by_itself(
    taken: list[tuple[str, int | None, float | None]],
) -> None:
    images = [(part, time, at(place, make=f"{place}")) for part, time, place in taken]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_POINTS", 3)
        assert repr(lines_of(images)) == repr(lines_of(images, together=False))
