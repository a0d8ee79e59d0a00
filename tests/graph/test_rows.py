"""What the rows of the Graph API become in the ledger, hostile ones included."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.names import CAPTURE_TIME_END, Collection, Selection
from mapillary_crawler.graph.api import IMAGE_FIELDS
from mapillary_crawler.graph.rows import canonical_line, image_url, listed_row, url_expiry
from tests import shared_data

ALICE = Collection("alice", "2048")
#: As long and as signed as the CDN's, but of no image.
SIGNED = (
    "https://scontent-muc2-1.xx.fbcdn.net/m1/v/t6/An" + "x" * 150 + "?stp=s2048x1536&"
    "edm=AOnQwmMEAAAA&_nc_gid=abc&_nc_oc=def&ccb=10-5&oh=00_Af" + "y" * 32 + "&oe=68B04FC4&"
    "_nc_sid=201bca"
)
anything = st.text(st.characters(exclude_categories=()), max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


# What a row becomes

ROW: dict[str, Any] = {
    "thumb_2048_url": SIGNED,
    "sequence": "3XT8wrxnFU9BcCqKomDvRY",
    "id": "135511895288847",
    "captured_at": 1563721072184,
    "geometry": {"type": "Point", "coordinates": [-108.57081597222, 39.068354972222]},
    "make": "Gö\u2028Pro",
    "merge_cc": 4.546427159383e18,
    "mesh": {"id": "1", "url": SIGNED},
    "detections": {"data": []},
}


def test_a_row_as_the_ledger_keeps_it() -> None:
    row = listed_row(ROW, ALICE)
    assert row is not None
    assert (row.image_id, row.captured_at, row.day) == (
        "135511895288847", 1563721072184, "2019-07-21",
    )  # fmt: skip
    assert (row.sequence, row.url, row.expires) == ("3XT8wrxnFU9BcCqKomDvRY", SIGNED, 0x68B04FC4)
    assert not row.outside
    assert (
        row.line
        == (
            '{"captured_at":1563721072184,"geometry":{"coordinates":[-108.57081597222,39.068354972222],'
            '"type":"Point"},"id":"135511895288847","make":"Gö\u2028Pro","merge_cc":4.546427159383e+18,'
            '"sequence":"3XT8wrxnFU9BcCqKomDvRY"}'
        ).encode()
    )


def test_a_row_of_the_least() -> None:
    row = listed_row({"id": 7}, ALICE)
    assert row is not None
    assert (row.image_id, row.captured_at, row.day, row.sequence, row.url, row.expires) == (
        "7", None, "unknown-date", "", None, None,
    )  # fmt: skip
    assert row.line == b'{"id":"7"}'


@pytest.mark.parametrize("row", [None, [], "1", 1, {}, {"id": None}, {"id": ""}, {"id": 1.5}])
def test_a_row_without_a_usable_id(row: Any) -> None:
    assert listed_row(row, ALICE) is None


def test_the_thumb_of_another_quality_is_no_url() -> None:
    row = listed_row({"id": "1", "thumb_1024_url": SIGNED}, ALICE)
    assert row is not None
    assert row.url is None


def test_rows_outside_are_marked() -> None:
    selected = Collection("a", "2048", selection=Selection(start=date(2024, 1, 1)))
    row = listed_row(ROW, selected)
    assert row is not None
    assert row.outside


odd_rows = st.fixed_dictionaries(
    {"id": st.integers() | anything},
    optional=dict.fromkeys(
        ("captured_at", "sequence", "geometry", "make", "thumb_2048_url", "creator"), json_values
    ),
)


@given(odd_rows)
def test_no_row_breaks_it(row: dict[str, Any]) -> None:
    listed = listed_row(row, ALICE)
    if listed is None:
        assert isinstance(row["id"], str)
        assert not row["id"].strip()
        return
    assert listed.image_id.encode()
    assert "/" not in listed.sequence
    assert listed.captured_at is None or 0 <= listed.captured_at < CAPTURE_TIME_END
    assert b"\n" not in listed.line
    fields = json.loads(listed.line)
    assert set(fields) <= set(IMAGE_FIELDS)
    assert listed.line == canonical_line(fields)


# Canonical lines


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (math.nan, "null"),
        ([math.inf, -math.inf, 0.0], "[null,null,0.0]"),
        ("\ud83d", '"\ufffd"'),
        ({"\udc00": ["\ud800x"]}, '{"\ufffd":["\ufffdx"]}'),
        ({"b": 1, "a": {"d": 1, "c": None}}, '{"a":{"c":null,"d":1},"b":1}'),
        ('é\u2028\n"', '"é\u2028\\n\\""'),
        (4294967281, "4294967281"),
        (2**70, "1180591620717411303424"),
        (-0.0, "-0.0"),
        ([[[]]], "[[[]]]"),
    ],
)
def test_values_that_json_or_utf8_cannot_hold(value: Any, canonical: str) -> None:
    assert canonical_line({"make": value}) == f'{{"make":{canonical}}}'.encode()


@pytest.mark.parametrize("identity", [2**60 + 1, str(2**60 + 1)])
def test_an_id_is_text(identity: Any) -> None:
    assert canonical_line({"id": identity}) == b'{"id":"1152921504606846977"}'


def test_the_order_of_fields_does_not_matter() -> None:
    backwards = dict(reversed(ROW.items()))
    assert canonical_line(backwards) == canonical_line(ROW)


def deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [15, 20, 900, 100_000])
def test_deep_values_end_in_null_wherever_the_stack_would_have_ended(depth: int) -> None:
    line = canonical_line({"id": "1", "camera_parameters": deep(depth), "make": "[{" * 20})
    levels = "[" * 15 + "null" + "]" * 15
    assert line == (f'{{"camera_parameters":{levels},"id":"1","make":"{"[{" * 20}"}}'.encode())


def test_huge_values_are_left_out_and_the_rest_stays() -> None:
    row = {"id": "1", "make": "x" * 1_000_000, "camera_parameters": [0.5] * 100_000, "width": 4160}
    assert json.loads(canonical_line(row)) == {
        "id": "1", "make": None, "camera_parameters": None, "width": 4160,
    }  # fmt: skip
    row = dict.fromkeys(IMAGE_FIELDS, "x" * 4000)
    assert len(canonical_line(row)) < 100_000
    assert json.loads(canonical_line(row)) == row


# URLs of images


@pytest.mark.parametrize(
    "url", [SIGNED, "http://127.0.0.1:8000/x?oe=1", "HTTPS://x.example.org/a", "https://[::1]/a"]
)
def test_urls_that_are_fetched_as_they_are(url: str) -> None:
    assert image_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None, 7, [], {}, "", "x", "file:///etc/passwd", "ftp://x.example.org/a", "data:,x",
        "//x.example.org/a", "https://", "https:///a", "https://[::1", "https://x:99999/",
        "https://x:y/", "https://x:0/", "https://x/\n", "https://x/ y", "https://x/\ud800",
        "javascript:alert(1)", "https://?a", "https://@/",
    ],
)  # fmt: skip
def test_urls_that_cannot_be_fetched(url: Any) -> None:
    assert image_url(url) is None


@given(anything | st.from_regex(r"https?://[\[\]@:/a-z0-9.%?#\\ ]{0,30}", fullmatch=True))
def test_every_url_accepted_can_be_taken_apart(url: str) -> None:
    if image_url(url) is not None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port != 0


@pytest.mark.parametrize(
    ("url", "expires"),
    [
        (SIGNED, 0x68B04FC4),
        ("https://x/?oe=68b04fc4", 0x68B04FC4),
        ("https://x/?oe=0&a=1", 0),
        ("https://x/?a=1&oe=1F", 31),
        ("https://x/?foe=1F", None),
        ("https://x/oe=1F", None),
        ("https://x/?oe=", None),
        ("https://x/?oe=xyz", None),
        ("https://x/?oe=1Fxyz", None),
        ("https://x/?oe=FFFFFFFFFFFFF", None),
        ("https://x/", None),
    ],
)
def test_the_expiry_is_hexadecimal(url: str, expires: int | None) -> None:
    assert url_expiry(url) == expires


@pytest.mark.parametrize("path", shared_data.files("graph-responses/[0-9]*.json"))
def test_recorded_entities_become_rows(path: Path) -> None:
    recorded = json.loads(path.read_bytes())
    if "captured_at" not in recorded:  # users and a sign were recorded, too
        assert not {"computed_geometry", "camera_type"} & set(recorded)
        return
    row = listed_row({**recorded, "thumb_2048_url": SIGNED}, ALICE)
    assert row is not None
    assert row.day == "2019-07-21"
    assert row.captured_at == recorded["captured_at"]
    assert row.image_id == recorded["id"]
    assert row.sequence == recorded["sequence"]
    kept = json.loads(row.line)
    assert kept == {name: value for name, value in recorded.items() if name in IMAGE_FIELDS}
    assert {"altitude", "computed_geometry", "camera_parameters"} <= set(kept)
    box = Selection(bbox=(-108.6, 39.0, -108.5, 39.1))
    assert box.holds(recorded, row.captured_at)


@pytest.mark.parametrize("wanted", [True, False])
def test_of_a_known_row_only_a_url_that_is_wanted_is_taken(wanted: bool) -> None:
    row = {"id": "12", "captured_at": 1, "thumb_256_url": "https://cdn.example/12?oe=0F&x=1"}
    known = listed_row(row, Collection("alice", "256"), {"12": wanted})
    assert known is not None
    assert known.image_id == "12"
    assert (known.url, known.expires) == ((row["thumb_256_url"], 15) if wanted else (None, None))
    assert listed_row(row, Collection("alice", "256"), {"13": wanted}).line
