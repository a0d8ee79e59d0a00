"""What is wanted of a collection, and words that say no such thing."""

from __future__ import annotations

from typing import Any

import pytest

from mapillary_crawler.archive.extract.choice import Choice, read_choice
from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.ledger.records import ImageRecord, State

NOON = 1_705_320_000_123


def image(image_id: str = "1", captured_at: int | None = NOON) -> ImageRecord:
    return ImageRecord(
        1, image_id, State.SAVED, captured_at, capture_day(captured_at), "s", "jpg",
        None, None, 1, None, None, 0, 0,
    )  # fmt: skip


def never() -> dict[str, Any]:
    raise AssertionError("the fields do not matter")


def test_nothing_said_wants_all() -> None:
    choice = read_choice([], [], None)
    assert not choice
    assert choice.holds(image(), never)


@pytest.mark.parametrize("day", ["2024", "2024-01", "2024-01-15", "2019,2024-01", "2024 , 2019"])
def test_days_by_their_beginning(day: str) -> None:
    choice = read_choice([day], [], None)
    assert choice
    assert choice.holds(image(), never)
    assert not choice.holds(image(captured_at=0), never)
    assert not choice.holds(image(captured_at=None), never)


def test_undated_images_are_a_day() -> None:
    choice = read_choice(["2019", "unknown-date"], [], None)
    assert choice.holds(image(captured_at=None), never)


def test_ids_and_a_day_must_both_hold() -> None:
    choice = read_choice(["2024"], [], None, frozenset({"7"}))
    assert choice.holds(image("7"), never)
    assert not choice.holds(image("8"), never)
    assert not choice.holds(image("7", 0), never)
    assert Choice(ids=frozenset())


def test_sequences_and_boxes_are_those_of_a_crawl() -> None:
    inside = {"sequence": "a_b", "geometry": {"coordinates": [1.0, 2.0]}}
    outside = {"sequence": "c", "geometry": {"coordinates": [9.0, 2.0]}}
    by_sequence = read_choice([], ["x,a_b", "y"], None)
    by_box = read_choice([], [], "0,0,2,2")
    for choice in (by_sequence, by_box):
        assert choice.holds(image(), lambda: inside)
        assert not choice.holds(image(), lambda: outside)
        assert not choice.holds(image(), dict)


@pytest.mark.parametrize(
    ("days", "sequences", "bbox", "said"),
    [
        (["2024-1"], [], None, "--day '2024-1' is no day"),
        (["2024-01-15,"], [], None, "--day '' is no day"),
        ([], ["a/b"], None, "no id of a sequence"),
        ([], [], "1,2,3", "not west,south,east,north"),
        ([], [], "170,0,-170,1", "west is not west of east"),
    ],
)
def test_wrong_words(days: list[str], sequences: list[str], bbox: str | None, said: str) -> None:
    with pytest.raises(ArgumentRefused, match=said):
        read_choice(days, sequences, bbox)
