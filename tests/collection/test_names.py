"""Names, days, paths and selections: fixed interfaces, so the cases are written out."""

from __future__ import annotations

import hashlib
import math
import re
import string
import time
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection import names
from mapillary_crawler.collection.layout import EXTENSIONS
from mapillary_crawler.collection.names import (
    CAPTURE_TIME_END,
    Collection,
    Selection,
    capture_day,
    capture_time,
    escape,
    image_id,
    member_path,
    point,
    sequence_part,
    text,
)

ALLOWED = set(string.ascii_letters + string.digits + "._-")
#: Text as JSON may bring it: lone surrogates and NUL included.
anything = st.text(st.characters(exclude_categories=()), max_size=150)
#: Names that are close to each other and to the escape itself.
tricky = st.text("_u.f2e-/aé\x00", max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("vorpalblade", "vorpalblade"),
        ("Jane.Doe_1-x", "Jane.Doe_1-x"),
        ("mapillary_userÄ2!", "mapillary_u5f_user_uc4_2_u21_"),
        ("_u", "_u5f_u"),
        ("_v_U", "_v_U"),
        (".hidden", "_u2e_hidden"),
        ("a.b", "a.b"),
        ("a b", "a_u20_b"),
        ("a/b", "a_u2f_b"),
        ("日本", "_u65e5__u672c_"),
        ("🚲", "_u1f6b2_"),
        ("a+b", "a_u2b_b"),
        ("\n", "_ua_"),
        ("-dash", "-dash"),
        ("", ""),
    ],
)
def test_what_is_not_plain_becomes_its_code_point(name: str, escaped: str) -> None:
    assert escape(name) == escaped


@given(anything | tricky)
def test_an_escaped_name_is_one_safe_part(name: str) -> None:
    part = escape(name)
    assert set(part) <= ALLOWED
    assert not part.startswith(".")
    assert len(part) <= 100


@given(tricky, tricky)
def test_no_two_names_meet(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(tricky)
def test_an_escaped_name_can_be_read_back(name: str) -> None:
    back = re.sub(r"_u([0-9a-f]+)_", lambda found: chr(int(found[1], 16)), escape(name))
    assert back == name


@pytest.mark.parametrize("longest", [60, 100])
def test_long_names_are_cut_and_told_apart_by_their_digest(longest: int) -> None:
    fits, long, longer = ("a" * count for count in (longest, longest + 1, longest + 2))
    assert escape(fits, longest) == fits
    digest = hashlib.sha256(long.encode()).hexdigest()[:16]
    assert escape(long, longest) == "a" * (longest - 17) + "-" + digest
    assert escape(longer, longest) != escape(long, longest)


@given(st.text(st.characters(exclude_categories=()), min_size=101, max_size=400))
def test_long_names_stay_within_the_bound(name: str) -> None:
    part = escape(name)
    assert len(part) <= 100
    assert set(part) <= ALLOWED


@given(
    anything,
    st.sampled_from(["256", "1024", "2048", "original"]),
    st.sampled_from(["", "webp", "jxl"]),
)
def test_every_identifier_suits_archive_org(username: str, quality: str, kind: str) -> None:
    identifier = Collection(username, quality, webp=kind == "webp", jxl=kind == "jxl").identifier
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", identifier)


def test_names_of_collections() -> None:
    assert Collection("alice").name == "mapillary-alice-original"
    assert Collection("alice", "2048", webp=True).name == "mapillary-alice-2048-webp"
    assert Collection("alice", "2048", jxl=True).name == "mapillary-alice-2048-jxl"
    part = Collection("alice", "256", selection=Selection(start=date(2024, 1, 1)))
    assert part.name == "mapillary-alice-256+2024-01-01_"
    assert part.identifier == "mapillary-alice-256"


@pytest.mark.parametrize(
    ("selection", "suffix"),
    [
        (Selection(), ""),
        (Selection(start=date(2024, 1, 1)), "+2024-01-01_"),
        (Selection(end=date(2024, 1, 31)), "+_2024-01-31"),
        (Selection(start=date(2024, 1, 1), end=date(2024, 1, 31)), "+2024-01-01_2024-01-31"),
        # sha256 of "13.0,52.25,13.5,52.5"
        (Selection(bbox=(13.0, 52.25, 13.5, 52.5)), "+bbox-"),
        (Selection(bbox=(13.0, 52.25, 13.5, 52.5), end=date(2024, 1, 31)), "+_2024-01-31+bbox-"),
    ],
)
def test_suffixes_of_selections(selection: Selection, suffix: str) -> None:
    if selection.bbox:
        suffix += hashlib.sha256(b"13.0,52.25,13.5,52.5").hexdigest()[:8]
    assert selection.suffix == suffix
    assert bool(selection) == bool(suffix)


def test_sequences_are_the_last_part_of_a_suffix() -> None:
    digest = hashlib.sha256(b"-b,A,a").hexdigest()[:8]
    named = Selection(sequences=("-b", "A", "a"))
    assert named
    assert named.suffix == f"+seq-{digest}"
    whole = Selection((13.0, 52.25, 13.5, 52.5), None, date(2024, 1, 31), named.sequences)
    box = hashlib.sha256(b"13.0,52.25,13.5,52.5").hexdigest()[:8]
    assert whole.suffix == f"+_2024-01-31+bbox-{box}+seq-{digest}"


@given(st.sets(st.text("abC-_1", min_size=1, max_size=3), min_size=1), json_values)
def test_a_selection_holds_the_rows_of_its_sequences(asked: set[str], sequence: Any) -> None:
    selection = Selection(sequences=tuple(sorted(asked)))
    for named in (*asked, sequence):
        row = {"sequence": named}
        held = selection.holds(row, captured_at=None)
        assert held == (sequence_part(named) in asked)
    assert not selection.holds({}, captured_at=None)


def test_a_sequence_may_come_as_a_number() -> None:
    assert Selection(sequences=("17",)).holds({"sequence": 17}, captured_at=None)


def test_sequences_box_and_days_hold_together() -> None:
    selection = Selection((-1, -1, 1, 1), date(2024, 1, 1), None, ("a", "b"))
    row = {"geometry": geometry_of(0, 0), "sequence": "b"}
    assert selection.fields == {"captured_at", "geometry", "computed_geometry", "sequence"}
    assert selection.holds(row, at(2024, 1, 1))
    assert not selection.holds({**row, "sequence": "c"}, at(2024, 1, 1))
    assert not selection.holds(row, at(2023, 12, 31))
    assert not selection.holds({**row, "geometry": geometry_of(2, 0)}, at(2024, 1, 1))


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (1563721072184, 1563721072184),
        (0, 0),
        (1563721072184.0, 1563721072184),
        (CAPTURE_TIME_END - 1, CAPTURE_TIME_END - 1),
        (CAPTURE_TIME_END, None),
        (-1, None),
        (-0.5, None),
        (0.5, None),
        (1563721072184.5, None),
        (math.nan, None),
        (math.inf, None),
        (10**400, None),
        (True, None),
        ("1563721072184", None),
        (None, None),
        ([], None),
    ],
)
def test_capture_times(value: Any, milliseconds: int | None) -> None:
    assert capture_time(value) == milliseconds
    assert not isinstance(capture_time(value), bool | float)


@given(json_values)
def test_no_value_breaks_the_capture_time(value: Any) -> None:
    milliseconds = capture_time(value)
    if milliseconds is not None:
        assert milliseconds == value
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", capture_day(milliseconds))


def test_the_last_capture_time_is_the_last_second_of_a_tar_header() -> None:
    assert f"{(CAPTURE_TIME_END - 1) // 1000:o}" == "7" * 11


@pytest.mark.parametrize(
    ("captured_at", "day"),
    [
        (0, "1970-01-01"),
        (1705276799999, "2024-01-14"),
        (1705276800000, "2024-01-15"),
        (CAPTURE_TIME_END - 1, "2242-03-16"),
        (None, "unknown-date"),
    ],
)
def test_days_are_utc(captured_at: int | None, day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert capture_day(captured_at) == day
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        ("135511895288847", "135511895288847"),
        (26774514888887982, "26774514888887982"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("a\ud800b", "a\ufffdb"),
        ("", None),
        (" \n", None),
        (None, None),
        (True, None),
        (1.0, None),
        ({}, None),
    ],
)
def test_ids(value: Any, identity: str | None) -> None:
    assert image_id(value) == identity


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("3XT8wrxnFU9BcCqKomDvRY", "3XT8wrxnFU9BcCqKomDvRY"),
        ("-E3NcJ2bz1oK_G7naKkIXrw", "-E3NcJ2bz1oK_G7naKkIXrw"),
        ("", ""),
        (None, ""),
        (17, "17"),
        (True, ""),
        (1.5, ""),
        (["x"], ""),
        ("..", "_u2e_."),
        (".", "_u2e_"),
        ("a/../../b", "a_u2f_.._u2f_.._u2f_b"),
        ("123.jpg", "123_u2e_jpg"),
        ("123.webp", "123_u2e_webp"),
        ("123.jpeg", "123.jpeg"),
        ("123.png", "123_u2e_png"),
        ("123.gif", "123_u2e_gif"),
        ("123.avif", "123_u2e_avif"),
        ("\ud800", "_ufffd_"),
    ],
)
def test_sequences(value: Any, part: str) -> None:
    assert sequence_part(value) == part


def test_sequences_of_a_collection_that_was_begun_with_fewer_extensions() -> None:
    fewer = ("jpg", "webp")
    assert [sequence_part(name, fewer) for name in ("7.png", "7.webp")] == ["7.png", "7_u2e_webp"]


def test_sequences_that_end_as_jpeg_xl() -> None:
    """Names of collections that hold none stay what they were before there were any."""
    assert sequence_part("7.jxl", Collection("a").extensions) == "7.jxl" == sequence_part("7.jxl")
    assert sequence_part("7.jxl", Collection("a", jxl=True).extensions) == "7_u2e_jxl"
    assert sequence_part("7.avif", Collection("a", jxl=True).extensions) == "7_u2e_avif"


@given(json_values, anything.filter(lambda name: name.strip() != ""), st.integers() | st.none())
def test_paths_stay_within_the_day(sequence: Any, image: str, captured_at: int | None) -> None:
    day = capture_day(capture_time(captured_at))
    path = member_path(day, sequence_part(sequence), image_id(image) or "", "jpg")
    parts = PurePosixPath(path).parts
    assert parts[0] == day
    assert 2 <= len(parts) <= 3
    assert "/".join(parts) == path
    assert all(set(part) <= ALLOWED and part not in {"", ".", ".."} for part in parts)
    assert all(len(part.encode()) <= 255 for part in parts)


@given(
    st.sampled_from(["7", ".jpg", *(f"7.{extension}" for extension in EXTENSIONS)]),
    st.sampled_from(EXTENSIONS),
)
def test_no_folder_has_the_name_of_an_image(sequence: str, extension: str) -> None:
    folder = PurePosixPath(
        member_path("2024-01-15", sequence_part(sequence, EXTENSIONS), "8", "jpg")
    ).parent
    assert str(folder) != member_path("2024-01-15", "", "7", extension)


@given(anything)
def test_text_can_be_written_as_utf8(value: str) -> None:
    assert len(text(value).encode()) >= len(value)


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("captured_at", "held"),
    [
        (at(2024, 1, 14, 23), False),
        (at(2024, 1, 15, 0), True),
        (at(2024, 1, 16, 23), True),
        (at(2024, 1, 17, 0) - 1, True),
        (at(2024, 1, 17, 0), False),
        (None, False),
    ],
)
def test_start_and_end_are_inclusive_days(captured_at: int | None, held: bool) -> None:
    selection = Selection(start=date(2024, 1, 15), end=date(2024, 1, 16))
    assert selection.holds({}, captured_at) is held


def test_open_bounds() -> None:
    assert Selection(start=date(2024, 1, 15)).holds({}, at(2200, 1, 1))
    assert Selection(end=date(2024, 1, 15)).holds({}, 0)
    assert not Selection(end=date(2024, 1, 15)).holds({}, None)


def geometry_of(*coordinates: Any) -> dict[str, Any]:
    return {"type": "Point", "coordinates": list(coordinates)}


@pytest.mark.parametrize(
    ("row", "held"),
    [
        ({"geometry": geometry_of(0.0, 0.0)}, True),
        ({"geometry": geometry_of(-1.0, -2.0)}, True),
        ({"geometry": geometry_of(1.0, 2.0)}, True),
        ({"geometry": geometry_of(1.0000001, 0)}, False),
        ({"geometry": geometry_of(0, -2.0000001)}, False),
        ({"geometry": geometry_of(5, 5), "computed_geometry": geometry_of(0, 0)}, False),
        ({"geometry": geometry_of(0, 0), "computed_geometry": geometry_of(5, 5)}, True),
        ({"computed_geometry": geometry_of(0, 0)}, True),
        ({"geometry": None, "computed_geometry": geometry_of(0, 0)}, True),
        ({"geometry": geometry_of(), "computed_geometry": geometry_of(5, 5)}, False),
        ({}, False),
        ({"geometry": geometry_of("0", "0")}, False),
        ({"geometry": geometry_of(math.nan, 0)}, False),
    ],
)
def test_a_box_tests_the_raw_position_first(row: dict[str, Any], held: bool) -> None:
    assert Selection(bbox=(-1.0, -2.0, 1.0, 2.0)).holds(row, None) is held


def test_box_and_days_must_both_hold() -> None:
    selection = Selection(bbox=(-1, -1, 1, 1), start=date(2024, 1, 1))
    inside = {"geometry": geometry_of(0, 0)}
    assert selection.holds(inside, at(2024, 1, 1))
    assert not selection.holds(inside, at(2023, 12, 31))
    assert not selection.holds({"geometry": geometry_of(2, 0)}, at(2024, 1, 1))


def test_the_whole_holds_everything() -> None:
    assert Selection().holds({}, None)


@pytest.mark.parametrize(
    ("geometry", "place"),
    [
        (geometry_of(-108.57, 39.06), (-108.57, 39.06)),
        (geometry_of(13, 52, 34.5), (13.0, 52.0)),
        (geometry_of(180, 90), (180.0, 90.0)),
        (geometry_of(180.1, 0), None),
        (geometry_of(0, -90.1), None),
        (geometry_of(13), None),
        (geometry_of(True, False), None),
        (geometry_of(10**400, 0), None),
        ([13, 52], None),
        ({"coordinates": {"0": 13}}, None),
    ],
)
def test_positions(geometry: Any, place: tuple[float, float] | None) -> None:
    assert point(geometry) == place


@given(json_values)
def test_no_geometry_breaks_it(value: Any) -> None:
    assert point(value) is None or len(point(value) or ()) == 2
    assert point({"coordinates": value}) is None or isinstance(value, list)


@given(st.text(min_size=1).filter(lambda name: "/" not in name))
def test_the_user_is_read_from_a_collection_s_name(name: str) -> None:
    folder = Collection(name, "256", webp=True).name
    found = names.user_and_quality(folder)
    assert found is not None
    assert found[1] == "256"
    assert names.unescape(found[0]) in (name, None)
    if len(found[0]) < names.USERNAME_LENGTH:
        assert names.unescape(found[0]) == name


@pytest.mark.parametrize(
    ("folder", "username", "shown"),
    [
        ("mapillary-alice-256", None, "mapillary-alice-256"),
        ("mapillary-b_u20__uf6_-256", None, "mapillary-b_u20__uf6_-256 (b ö)"),
        ("mapillary-b_u1b_-256", None, "mapillary-b_u1b_-256 (b\ufffd)"),
        ("mapillary-b_u20__uf6_-256+2024-01-01_", None,
         "mapillary-b_u20__uf6_-256+2024-01-01_ (b ö)"),
        ("mapillary-_u110000_-256", None, "mapillary-_u110000_-256"),
        ("mapillary-cut-0123456789abcdef-256", "what was cut",
         "mapillary-cut-0123456789abcdef-256 (what was cut)"),
        ("notes", "alice", "notes"),
    ],
)  # fmt: skip
def test_an_escaped_name_has_the_user_s_beside_it(
    folder: str, username: str | None, shown: str
) -> None:
    assert names.titled(folder, username) == shown


@pytest.mark.parametrize(
    ("bbox", "swapped"),
    [
        ((52.4, 13.3, 52.6, 13.5), (13.3, 52.4, 13.5, 52.6)),
        ((13.3, 52.4, 13.5, 52.6), (52.4, 13.3, 52.6, 13.5)),
        ((100.0, 13.3, 110.0, 13.5), None),
        ((-33.9, 151.1, -33.8, 151.3), (151.1, -33.9, 151.3, -33.8)),
    ],
)
def test_a_box_with_latitude_first(
    bbox: tuple[float, float, float, float], swapped: tuple[float, float, float, float] | None
) -> None:
    assert names.swapped(bbox) == swapped
    assert Selection(bbox=bbox).swapped == swapped
    assert names.written(bbox).count(",") == 3
