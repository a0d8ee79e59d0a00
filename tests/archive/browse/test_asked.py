"""What addresses of the viewer ask for."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.browse.asked import (
    BadQuestion,
    box,
    day_name,
    numbers,
    wanted,
    whole,
    zoom,
)
from mapillary_crawler.ledger.viewer_records import Box, Wanted


def number(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def test_filters() -> None:
    assert wanted({}) == Wanted()
    assert wanted({"day": "2019-03-10"}).days == (number("2019-03-10"),) * 2
    assert wanted({"day": "unknown-date"}).days == (-1, -1)
    assert wanted({"month": "2020-02"}).days == (number("2020-02-01"), number("2020-02-29"))
    assert wanted({"month": "2019-12"}).days == (number("2019-12-01"), number("2019-12-31"))
    assert wanted({"month": "9999-12"}).days == (number("9999-12-01"), number("9999-12-31"))
    assert wanted({"from": "2019-01-01"}).days == (number("2019-01-01"), None)
    assert wanted({"from": "2019-01-01", "to": "2019-01-02"}).days == (17897, 17898)
    assert wanted({"sequence": "", "camera": "", "pano": ""}) == Wanted(sequence="")
    assert wanted({"camera": "x", "pano": "0"}) == Wanted(camera="x", pano=False)
    assert wanted({"pano": 1}).pano is True  # as JSON may have it
    assert day_name(number("2019-03-10")) == "2019-03-10"


@pytest.mark.parametrize(
    "query",
    [
        {"day": "2019-02-30"}, {"day": "20190210"}, {"day": "../etc"}, {"month": "2019-13"},
        {"month": "2019"}, {"from": "x"}, {"to": "2019-1-1"}, {"pano": "yes"},
        {"day": "2019-01-01", "month": "2019-01"}, {"day": "2019-01-01", "to": "2019-01-02"},
        {"bbox": "1,2,3"}, {"bbox": "1,2,3,4,5"}, {"bbox": "a,b,c,d"}, {"bbox": "nan,0,1,1"},
        {"bbox": "0,2,1,1"}, {"bbox": "-inf,0,inf,1"}, {"day": []}, {"sequence": {}}, {"bbox": 7},
        {"month": "0000-01"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(query: dict[str, object]) -> None:
    with pytest.raises(BadQuestion):
        wanted(query)


def test_boxes() -> None:
    assert box({}) is None
    assert box({"bbox": "1,2,3,4"}) == Box(1, 2, 3, 4)
    assert box({"bbox": [1, 2, 3, 4]}) == Box(1, 2, 3, 4)
    assert box({"bbox": "-500,-99,500,99"}) == Box(-180, -90, 180, 90)
    assert box({"bbox": "170,0,190,1"}) == Box(170, 0, -170, 1)
    assert box({"bbox": "-190,0,-170,1"}) == Box(170, 0, -170, 1)
    assert box({"bbox": "170,0,-170,1"}) == Box(170, 0, -170, 1)
    assert box({"bbox": "350,0,370,1"}) == Box(-10, 0, 10, 1)


@given(st.lists(st.floats(), min_size=4, max_size=4))
def test_whatever_box_is_asked_for_lies_on_earth(bounds: list[float]) -> None:
    try:
        found = box({"bbox": ",".join(map(repr, bounds))})
    except BadQuestion:
        return
    assert found
    assert -180 <= found.west <= 180
    assert -180 <= found.east <= 180
    assert -90 <= found.south <= found.north <= 90


@given(st.text())
def test_numbers_have_bounds(text: str) -> None:
    try:
        assert 0 <= whole({"limit": text}, "limit", 100, 10) <= 100
        assert 0 <= zoom({"zoom": text}) <= 30
    except BadQuestion:
        pass


def test_numbers_of_images() -> None:
    assert numbers({}) is None
    assert numbers({"numbers": [3, 1, 3]}) == [1, 3]
    for bad in ([0], [-1], ["1"], [True], [1.5], [1 << 60], "12", [None], list(range(1, 100_002))):
        with pytest.raises(BadQuestion):
            numbers({"numbers": bad})
