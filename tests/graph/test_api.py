"""What is asked of the Graph API, and what its pages hold, hostile ones included."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.graph.api import (
    IMAGE_FIELDS,
    MalformedPage,
    Page,
    batch_url,
    entity_url,
    page_url,
    read_page,
    thumb_field,
)

BASE = "https://graph.mapillary.com"
ALICE = Collection("alice", "2048")
anything = st.text(st.characters(exclude_categories=()), max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


def asked(url: str) -> dict[str, str]:
    """Return the parameters of a URL as a server reads them."""
    parsed = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in parsed.values())
    return {name: values[0] for name, values in parsed.items()}


# What is asked


def test_the_first_page() -> None:
    url = page_url(BASE, ALICE, ("id", "thumb_2048_url"))
    assert url.startswith("https://graph.mapillary.com/images?")
    assert asked(url) == {
        "creator_username": "alice",
        "fields": "id,thumb_2048_url",
        "limit": "2000",
    }


def test_a_later_page_carries_the_cursor_and_nothing_else() -> None:
    url = page_url(BASE, ALICE, ("id",), cursor="QVFIUm+/=&?x", limit=25)
    assert asked(url)["after"] == "QVFIUm+/=&?x"
    assert asked(url)["limit"] == "25"


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_name_and_cursor_arrives_as_it_is(username: str, cursor: str) -> None:
    url = page_url(BASE, Collection(username), ("id",), cursor=cursor)
    assert (asked(url)["creator_username"], asked(url)["after"]) == (username, cursor)
    assert url.isascii()
    assert " " not in url


def test_a_path_prefix_of_the_base_stays() -> None:
    for base in ("http://127.0.0.1:8000/graph", "http://127.0.0.1:8000/graph/"):
        assert page_url(base, ALICE, ("id",)).startswith("http://127.0.0.1:8000/graph/images?")
        assert batch_url(base, ["1"], ("id",)).startswith("http://127.0.0.1:8000/graph/?ids=1&")
        assert entity_url(base, "1", ("id",)) == "http://127.0.0.1:8000/graph/1?fields=id"


@pytest.mark.parametrize(
    ("start", "end", "window"),
    [
        (None, None, (None, None)),
        (date(2024, 3, 1), None, ("2024-02-29T00:00:00Z", None)),
        (None, date(2023, 12, 30), (None, "2024-01-01T00:00:00Z")),
        (date(2024, 1, 1), date(2024, 1, 1), ("2023-12-31T00:00:00Z", "2024-01-03T00:00:00Z")),
        (date.min, date.max, (None, None)),
        (date(1, 1, 2), date(9999, 12, 29), ("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z")),
        (None, date(9999, 12, 30), (None, None)),
    ],
)
def test_days_are_widened_by_one_on_each_side(
    start: date | None, end: date | None, window: tuple[str | None, str | None]
) -> None:
    parameters = asked(page_url(BASE, Collection("a", selection=Selection(None, start, end)), ()))
    found = (parameters.get("start_captured_at"), parameters.get("end_captured_at"))
    assert found == window


def test_a_box_is_never_sent() -> None:
    boxed = Collection("alice", "2048", selection=Selection(bbox=(1.0, 2.0, 3.0, 4.0)))
    assert page_url(BASE, boxed, ("id",)) == page_url(BASE, ALICE, ("id",))


def test_a_batch_and_an_entity() -> None:
    assert asked(batch_url(BASE, ["1", "26774514888887982"], ("id", "thumb_256_url"))) == {
        "ids": "1,26774514888887982",
        "fields": "id,thumb_256_url",
    }
    assert entity_url(BASE, "1", ("id", "width")) == f"{BASE}/1?fields=id,width"
    assert entity_url(BASE, "a/../b?x#y", ("id",)) == f"{BASE}/a%2F..%2Fb%3Fx%23y?fields=id"


def test_the_fields_describe_the_image_and_hold_no_signed_url() -> None:
    assert {"id", "captured_at", "geometry", "computed_geometry", "sequence"} <= set(IMAGE_FIELDS)
    assert not {"detections", "mesh", "sfm_cluster"} & set(IMAGE_FIELDS)
    assert not [name for name in IMAGE_FIELDS if "url" in name or "thumb" in name]
    assert len(set(IMAGE_FIELDS)) == len(IMAGE_FIELDS)
    assert thumb_field("original") == "thumb_original_url"


# What a page holds

ROWS = [{"id": "2"}, {"id": "1"}]
NEXT = "https://graph.mapillary.com/images?creator_username=a&after=from-next&limit=2000"


@pytest.mark.parametrize(
    ("answer", "following"),
    [
        ({"data": ROWS}, None),
        ({"data": ROWS, "paging": None}, None),
        ({"data": ROWS, "paging": []}, None),
        ({"data": ROWS, "paging": {}}, None),
        ({"data": ROWS, "paging": {"cursors": {"after": "x"}}}, None),
        ({"data": ROWS, "paging": {"cursors": {"after": "x"}, "next": ""}}, None),
        ({"data": ROWS, "paging": {"cursors": {"after": "x"}, "next": None}}, None),
        ({"data": ROWS, "paging": {"cursors": {"after": "x"}, "next": NEXT}}, "x"),
        ({"data": ROWS, "paging": {"cursors": {"after": "x"}, "next": "http://["}}, "x"),
        ({"data": ROWS, "paging": {"cursors": {"after": ""}, "next": NEXT}}, "from-next"),
        ({"data": ROWS, "paging": {"cursors": {"after": 5}, "next": NEXT}}, "from-next"),
        ({"data": ROWS, "paging": {"cursors": None, "next": NEXT}}, "from-next"),
        ({"data": ROWS, "paging": {"next": NEXT.replace("from-next", "a%2Bb%3D")}}, "a+b="),
    ],
)
def test_only_next_says_that_a_page_follows(answer: dict[str, Any], following: str | None) -> None:
    assert read_page(answer) == Page(ROWS, following)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        {"data": {"id": "1"}},
        {"data": "x"},
        {"id": "135511895288847"},
        {"data": ROWS, "paging": {"next": "https://graph.mapillary.com/images"}},
        {"data": ROWS, "paging": {"next": 7}},
        {"data": ROWS, "paging": {"next": "http://["}},
        {"data": ROWS, "paging": {"cursors": {"after": "\ud800"}, "next": NEXT}},
        {"data": ROWS, "paging": {"cursors": {"after": "x" * 5_000_000}, "next": NEXT}},
        {"data": ROWS, "paging": {"cursors": {"after": "x" * 1025}, "next": NEXT}},
        {"data": ROWS, "paging": {"next": "?after=" + "x" * 5_000_000}},
        {"data": [{}] * 8001},
    ],
)
def test_what_is_no_page(answer: dict[str, Any]) -> None:
    with pytest.raises(MalformedPage) as malformed:
        read_page(answer)
    assert str(malformed.value).isprintable()


@given(json_values, json_values, json_values)
def test_no_paging_breaks_it(data: Any, cursors: Any, following: Any) -> None:
    answer = {"data": data, "paging": {"cursors": {"after": cursors}, "next": following}}
    try:
        page = read_page(answer)
    except MalformedPage:
        return
    assert page.rows == data or page.rows is data
    assert page.following is None or page.following.encode()


@given(st.text(max_size=1024))
def test_a_cursor_read_can_be_sent(cursor: str) -> None:
    following = page_url(BASE, ALICE, ("id",), cursor=cursor)
    if cursor:
        assert read_page({"data": [], "paging": {"next": following}}).following == cursor
