"""Spider arguments: what is meant, what is refused, and that refusals are one clear line."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.arguments import Arguments, StopAfter, validate
from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.collection.outcome import ArgumentRefused

NAMES = (
    "username", "quality", "webp", "tar", "check_ia", "accept_failed", "bbox", "start", "end",
    "sequence", "stop_after", "upload", "remove", "update", "page", "cut", "slice",
)  # fmt: skip
anything = st.text(st.characters(exclude_categories=()), max_size=40)


def test_the_defaults() -> None:
    assert validate({"username": "alice"}) == Arguments(
        Collection("alice", "original", webp=False, selection=Selection()),
        tar=None,
        check_ia=True,
        accept_failed=False,
    )


def test_everything_given() -> None:
    arguments = validate(
        {
            "username": "alice",
            "quality": "2048",
            "webp": "1",
            "tar": "0",
            "check_ia": "0",
            "accept_failed": "1",
            "bbox": "13.0,52.25,13.5,52.5",
            "start": "2024-01-01",
            "end": "2024-12-31",
            "sequence": "b-_,A",
            "stop_after": "500MB",
            "update": "1",
            "page": "0",
            "_job": "6487ec79947edab326d6db28a2d86511e8247444",
        }
    )
    assert arguments == Arguments(
        Collection(
            "alice",
            "2048",
            webp=True,
            selection=Selection(
                (13.0, 52.25, 13.5, 52.5),
                start=date(2024, 1, 1),
                end=date(2024, 12, 31),
                sequences=("A", "b-_"),
            ),
        ),
        tar=False,
        check_ia=False,
        accept_failed=True,
        stop_after=StopAfter("500MB", size=500_000_000),
        update=True,
        page=False,
    )


def test_what_goes_to_archive_org() -> None:
    both = validate({"username": "alice", "upload": "1", "remove": "1"})
    assert (both.upload, both.remove) == (True, True)
    assert validate({"username": "alice", "upload": "1", "tar": "1"}).upload
    for wrong, why in (
        ({"remove": "1"}, "say upload=1 too"),
        ({"upload": "1", "tar": "0"}, "does not go with tar=0"),
        ({"upload": "1", "bbox": "13.0,52.25,13.5,52.5"}, "does not go with a selection"),
        ({"upload": "1", "sequence": "A"}, "does not go with a selection"),
    ):
        with pytest.raises(ArgumentRefused, match=why):
            validate({"username": "alice", **wrong})


def test_jpeg_xl_or_webp() -> None:
    assert validate({"username": "alice", "jxl": "1"}).collection == Collection("alice", jxl=True)
    with pytest.raises(ArgumentRefused, match="webp=1 and jxl=1 do not go together"):
        validate({"username": "alice", "jxl": "1", "webp": "1"})


@pytest.mark.parametrize("quality", ["256", "1024", "2048", "original"])
def test_the_qualities(quality: str) -> None:
    assert validate({"username": "alice", "quality": quality}).collection.quality == quality


@pytest.mark.parametrize(
    "username",
    ["alice", "Ünî cødé_user", "odd\\name", "...", "a..", " alice", "日本語", "a\u200bb", "-alice"],
)
def test_names_are_kept_as_they_are(username: str) -> None:
    assert validate({"username": username}).collection.username == username


@pytest.mark.parametrize(
    ("given_arguments", "said"),
    [
        ({}, "username is missing"),
        ({"username": ""}, "username is empty"),
        ({"username": " \t"}, "username is empty"),
        ({"username": "."}, "'.'"),
        ({"username": ".."}, "'..'"),
        ({"username": "a/b"}, "'a/b'"),
        ({"username": "/"}, "'/'"),
        ({"username": "a\nb"}, r"'a\nb'"),
        ({"username": "a\x00b"}, r"'a\x00b'"),
        ({"username": "a\x7fb"}, r"'a\x7fb'"),
        ({"username": "a\x9bb"}, r"'a\x9bb'"),
        ({"username": "a\udcffb"}, r"'a\udcffb'"),
        ({"username": "x", "quality": "thumb"}, "256, 1024, 2048, original"),
        ({"username": "x", "quality": "Original"}, "quality 'Original'"),
        ({"username": "x", "quality": ""}, "quality ''"),
        ({"username": "x", "webp": "yes"}, "webp 'yes'"),
        ({"username": "x", "tar": ""}, "tar ''"),
        ({"username": "x", "check_ia": "2"}, "check_ia '2'"),
        ({"username": "x", "accept_failed": "true"}, "accept_failed 'true'"),
        ({"username": "x", "qualty": "256"}, "'qualty'; did you mean quality? Known are username"),
        ({"username": "x", "slice": "0"}, "slice '0' is no number of a slice"),
        ({"username": "x", "slice": "-1"}, "slice '-1' is no number of a slice"),
        ({"username": "x", "slice": "1.0"}, "slice '1.0' is no number of a slice"),
        ({"username": "x", "slice": "9" * 40}, "is no number of a slice"),
        ({"username": "x", "slice": ""}, "slice '' is no number of a slice"),
        ({"username": "x", "cut": "2"}, "cut '2' is not understood"),
        ({"username": "x", "cut": "1", "slice": "1"}, "slice=1 does not go with cut=1"),
        ({"username": "x", "update": "1", "slice": "1"}, "slice=1 does not go with update=1"),
        ({"username": "x", "token": "MLY"}, "unknown argument 'token'; known are"),
        ({"username": "x", "start": "2024-02-30"}, "start '2024-02-30' is no day"),
        ({"username": "x", "start": "2023-02-29"}, "start '2023-02-29' is no day"),
        ({"username": "x", "end": "0000-01-01"}, "end '0000-01-01' is no day"),
        ({"username": "x", "end": "2024-1-1"}, "YYYY-MM-DD"),
        ({"username": "x", "end": "20240101"}, "YYYY-MM-DD"),
        ({"username": "x", "end": "2024-W01-1"}, "YYYY-MM-DD"),
        ({"username": "x", "end": "2024-01-01T00:00"}, "YYYY-MM-DD"),
        ({"username": "x", "end": "\uff12\uff10\uff12\uff14-01-01"}, "YYYY-MM-DD"),
        ({"username": "x", "end": ""}, "end ''"),
        (
            {"username": "x", "start": "2024-01-02", "end": "2024-01-01"},
            "start 2024-01-02 lies after end 2024-01-01",
        ),
        ({"username": "x", "sequence": ""}, "sequence '' is no id"),
        ({"username": "x", "sequence": "a,,b"}, "sequence '' is no id"),
        ({"username": "x", "sequence": "a,b,"}, "joined by commas"),
        ({"username": "x", "sequence": "a b"}, "sequence 'a b' is no id"),
        ({"username": "x", "sequence": "../b"}, "sequence '../b' is no id"),
        ({"username": "x", "sequence": "a\n"}, r"sequence 'a\n' is no id"),
        ({"username": "x", "sequence": "\x1b[31m"}, r"'\x1b[31m'"),
        ({"username": "x", "sequence": "é"}, "sequence 'é' is no id"),
        ({"username": "x", "sequence": "a\udcff"}, r"'a\udcff'"),
        ({"username": "x", "sequence": "a" * 101}, "1 to 100"),
        ({"username": "x", "sequence": "a" * 1_000_000}, "1 to 100"),
        ({"username": "x", "stop_after": ""}, "stop_after '' is not understood"),
        ({"username": "x", "stop_after": "2"}, "as 90m, 2h or 1d, or bytes of images, as 500MB"),
        ({"username": "x", "stop_after": "5M"}, "stop_after '5M' is not understood"),
        ({"username": "x", "stop_after": "0h"}, "more than nothing"),
        ({"username": "x", "stop_after": "-1GB"}, "more than nothing"),
        ({"username": "x", "stop_after": "0.2B"}, "more than nothing"),
        ({"username": "x", "stop_after": "1e99d"}, "out of range"),
        ({"username": "x", "bbox": ""}, "bbox ''"),
        ({"username": "x", "bbox": "1,2,3"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1,2,3,4,5"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1;2;3;4"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1,2,3,four"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1,2,,4"}, "west,south,east,north"),
        ({"username": "x", "bbox": "nan,2,3,4"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1,2,3,inf"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1,2,3,1e400"}, "west,south,east,north"),
        ({"username": "x", "bbox": "1,2,181,4"}, "±180"),
        ({"username": "x", "bbox": "-180.5,2,3,4"}, "±180"),
        ({"username": "x", "bbox": "1,-91,3,4"}, "±90"),
        ({"username": "x", "bbox": "1,2,3,91"}, "±90"),
        ({"username": "x", "bbox": "170,2,-170,4"}, "two boxes"),
        ({"username": "x", "bbox": "1,2,1,4"}, "west is not west of east"),
        ({"username": "x", "bbox": "1,4,3,2"}, "south is not south of north"),
        ({"username": "x", "bbox": "1,2,3,2"}, "south is not south of north"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(given_arguments: dict[str, str], said: str) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        validate(given_arguments)
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


def test_one_day_is_a_selection() -> None:
    arguments = validate({"username": "x", "start": "2024-02-29", "end": "2024-02-29"})
    assert arguments.collection.selection.suffix == "+2024-02-29_2024-02-29"


@pytest.mark.parametrize(
    "bbox", ["13,52.25,13.5,52.5", "13.0, 52.25, 13.5, 52.5", "1.3e1,5225e-2,+13.50,052.5"]
)
def test_the_same_box_is_the_same_collection_however_it_is_written(bbox: str) -> None:
    plain = validate({"username": "x", "bbox": "13.0,52.25,13.5,52.5"})
    assert validate({"username": "x", "bbox": bbox}).collection.name == plain.collection.name


@pytest.mark.parametrize("sequence", ["b,a,C", "C,a,b", "a, b ,C,a,b"])
def test_the_same_sequences_are_the_same_collection_however_they_are_written(sequence: str) -> None:
    arguments = validate({"username": "x", "sequence": sequence})
    assert arguments.collection.selection.sequences == ("C", "a", "b")


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("2h", StopAfter("2h", seconds=7200)),
        ("90m", StopAfter("90m", seconds=5400)),
        (" 1.5 GiB", StopAfter("1.5 GiB", size=3 * 2**29)),
    ],
)
def test_a_limit_of_the_run_is_a_time_or_bytes(value: str, limit: StopAfter) -> None:
    assert validate({"username": "x", "stop_after": value}).stop_after == limit


@pytest.mark.parametrize("given", [{"cut": "1"}, {"cut": "1", "stop_after": "2h"}])
def test_what_stops_after_a_while_is_not_cut(given: dict[str, str]) -> None:
    assert validate({"username": "x", **given}).cut is ("stop_after" not in given)


def test_minus_zero_is_zero() -> None:
    one, other = (validate({"username": "x", "bbox": box}) for box in ("-0.0,-0,1,1", "0,0,1,1"))
    assert one.collection.name == other.collection.name


def test_the_whole_earth_is_a_box() -> None:
    arguments = validate({"username": "x", "bbox": "-180,-90,180,90"})
    assert arguments.collection.selection.bbox == (-180.0, -90.0, 180.0, 90.0)


@given(
    st.dictionaries(st.sampled_from(NAMES), anything | st.sampled_from(["0", "1", "2024-01-01"]))
)
def test_nothing_but_a_refusal_comes_of_hostile_values(given_arguments: dict[str, str]) -> None:
    message = ""
    try:
        arguments = validate(given_arguments)
    except ArgumentRefused as refused:
        message = str(refused)
    else:
        assert arguments.collection.username == given_arguments["username"]
        assert "/" not in arguments.collection.name
    assert message.isprintable()


@given(st.lists(st.floats(), min_size=4, max_size=4))
def test_boxes_are_four_finite_numbers_in_order(numbers: list[float]) -> None:
    west, south, east, north = numbers
    good = -180 <= west < east <= 180 and -90 <= south < north <= 90
    try:
        box = validate({"username": "x", "bbox": ",".join(map(repr, numbers))})
    except ArgumentRefused:
        assert not good
    else:
        assert good
        assert box.collection.selection.bbox == tuple(numbers)
        assert all(map(math.isfinite, numbers))
