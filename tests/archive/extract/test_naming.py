"""What files are called: by time where asked, safe whatever the ids, and never two the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.extract.naming import Naming
from mapillary_crawler.collection.names import capture_day, sequence_part
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.ledger.records import ImageRecord, State

NOON = 1_705_320_000_123


def path(
    naming: Naming, image_id: str = "5", captured_at: int | None = NOON, sequence: str = "a_uX"
) -> str:
    record = ImageRecord(
        1, image_id, State.SAVED, captured_at, capture_day(captured_at), sequence_part(sequence),
        "jpg", None, None, 1, None, None, 0, 0,
    )  # fmt: skip
    fields: dict[str, Any] = {"sequence": sequence} if sequence else {}
    return naming.path(record, lambda: fields, "jpg")


@pytest.mark.parametrize(
    ("naming", "expected"),
    [
        (Naming(), "a_uX/5.jpg"),
        (Naming("day"), "2024-01-15/5.jpg"),
        (Naming("flat"), "5.jpg"),
        (Naming("flat", "{time}_{id}"), "20240115-120000_5.jpg"),
        (Naming("flat", "{day} {time}{ms}, {sequence}-{id}"),
         "2024-01-15 20240115-120000123, a_uX-5.jpg"),
    ],
)  # fmt: skip
def test_layouts_and_templates(naming: Naming, expected: str) -> None:
    assert path(naming) == expected


def test_what_has_no_time_or_no_sequence() -> None:
    assert path(Naming("flat", "{time}.{ms}_{id}"), captured_at=None) == "unknown-date.000_5.jpg"
    assert path(Naming("day"), captured_at=None) == "unknown-date/5.jpg"
    assert path(Naming(), sequence="") == "5.jpg"
    assert path(Naming("flat", "{sequence}-{id}"), sequence="") == "no-sequence-5.jpg"


def test_names_sort_by_time() -> None:
    times = [0, 999, 1000, NOON, NOON + 1, 4_000_000_000_000, None]
    names = [path(Naming("flat", "{time}-{ms}_{id}"), captured_at=time) for time in times]
    assert names == sorted(names)


@pytest.mark.parametrize(
    "template",
    ["{time}", "", "{id}/x", "../{id}", ".{id}", " {id}", "{id}{", "{id:>9}", "{ID}", "{id}\n",
     "{id}*", "{id}" + "x" * 41],
)  # fmt: skip
def test_templates_that_cannot_be(template: str) -> None:
    with pytest.raises(ArgumentRefused, match="--name"):
        Naming("flat", template)


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), unique=True, min_size=2))
def test_hostile_ids_never_meet_and_stay_below(images: list[tuple[str, str]]) -> None:
    for layout in ("sequence", "flat"):
        ids = dict(images)
        paths = [
            path(Naming(layout, "{time}_{id}"), image_id, sequence=sequence)
            for image_id, sequence in ids.items()
        ]
        files = {each.rpartition("/")[2].lower() for each in paths}
        assert len(files) == len(ids)
        for each in paths:
            folder, _, name = each.rpartition("/")
            assert "/" not in folder
            assert not folder.startswith(".")
            assert len(name) < 250
            each.encode("ascii")


@given(st.lists(st.text(min_size=1), unique=True))
def test_folders_of_sequences_never_meet(sequences: list[str]) -> None:
    folders = {path(Naming(), sequence=each).rpartition("/")[0] for each in sequences}
    assert len(folders) == len(sequences)


def test_an_id_that_looks_like_what_another_becomes() -> None:
    assert path(Naming(), sequence="a/b") == "a_u2f_b/5.jpg"
    assert path(Naming(), sequence="a_u2f_b") == "a_u5f_u2f_b/5.jpg"
