"""What may be removed here: by one kind of answer, and by no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.internet_archive.removal import answer_obstacle, removal_obstacle
from mapillary_crawler.ledger.records import Piece, PieceState
from mapillary_crawler.sandbox.archive_answers import ODD

ITEM, ANN = "mapillary-ann-original", "ann@example.org"
MD5 = bytes(range(16))
TAR = Piece(1, "2024-01-15.tar", "2024-01-15", 0, 3, 10_240, b"", MD5, PieceState.UPLOADED, ITEM)
NO_TASKS = {"queued": 0, "running": 0, "error": 0, "paused": 0}
FILE = {"name": TAR.name, "size": "10240", "md5": MD5.hex(), "source": "original"}


def answer(file: dict[str, Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    """Return the answer that is right, but for some changes; None takes a field out."""
    right = {
        "dir": f"/3/items/{ITEM}",
        "files": [{"name": f"{ITEM}_files.xml", "md5": "0" * 32}, {**FILE, **(file or {})}],
        "files_count": 2,
        "item_size": 12_345,
        "metadata": {"identifier": ITEM, "uploader": ANN, "mediatype": "data"},
        "workable_servers": ["ia600000.us.archive.org"],
        **changes,
    }
    return {name: value for name, value in right.items() if value is not None}


def metadata(**changes: Any) -> dict[str, Any]:
    return answer(metadata={**answer()["metadata"], **changes})


def obstacle(
    said: dict[str, Any],
    tasks: dict[str, int] | None = NO_TASKS,
    piece: Piece = TAR,
    uploader: str | None = ANN,
) -> str | None:
    return removal_obstacle(said, tasks, piece, item=ITEM, uploader=uploader)


@pytest.mark.parametrize("tasks", [NO_TASKS, {}, None], ids=["none", "empty", "no answer"])
@pytest.mark.parametrize(
    "said",
    [
        answer(),
        answer(is_dark=False, tasks=[], pending_tasks=False, servers_unavailable=False),
        answer(dir=None, files_count=None, item_size=None, workable_servers=None),
        answer({"size": 10240}),
        answer(files_count="2", item_size="10240"),
        answer(files=[FILE, FILE]),
    ],
    ids=["as it is", "said", "least", "a number", "texts", "the same twice"],
)
def test_what_is_there_and_ours_may_be_removed(
    said: dict[str, Any], tasks: dict[str, int] | None
) -> None:
    assert obstacle(said, tasks) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "does not show the item"),
        ({"metadata": {}, "files": []}, "does not show the item"),
        (answer(metadata="none"), "does not show the item"),
        (answer(metadata=None), "does not show the item"),
        ({"error": "no such item"}, "an error"),
        (answer(error="try again"), "an error"),
        ({"is_dark": True}, "dark"),
        (answer(is_dark=True), "dark"),
        (answer(is_dark="true"), "dark"),
        (answer(servers_unavailable=True), "unavailable"),
        (answer(workable_servers=[]), "unavailable"),
        (metadata(identifier="mapillary-bob-original"), "another item"),
        (metadata(identifier=[ITEM]), "another item"),
        (metadata(identifier=ITEM.upper()), "another item"),
        (metadata(uploader="bob@example.org"), "another uploader"),
        (metadata(uploader=None), "another uploader"),
        (metadata(uploader=[ANN]), "another uploader"),
        (answer(pending_tasks=True), "tasks"),
        (answer(tasks=[{"cmd": "archive.php"}]), "tasks"),
        (answer(tasks=1), "tasks"),
        (answer(files=None), "no list of files"),
        (answer(files={}), "no list of files"),
        (answer(files=[FILE, "x"]), "no list of files"),
        (answer(files=[FILE, {"md5": "x"}]), "no list of files"),
        (answer(files=[]), "contradicts itself: its number of files"),
        (answer(files=[], files_count=0), "does not have 2024-01-15.tar"),
        (answer({"name": "2024-01-15.1.tar"}), "does not have 2024-01-15.tar"),
        (answer({"md5": "0" * 32}), "another md5"),
        (answer({"md5": None}), "another md5"),
        (answer({"md5": MD5.hex()[:-1]}), "another md5"),
        (answer({"size": "10239"}), "another size"),
        (answer({"size": None}), "another size"),
        (answer({"size": "10240.0"}), "another size"),
        (answer(files=[FILE, {**FILE, "md5": "0" * 32}]), "two 2024-01-15.tar"),
        (answer(files=[{**FILE, "size": "1"}, FILE]), "two 2024-01-15.tar"),
        (answer(dir="/3/items/mapillary-bob-original"), "another item's"),
        (answer(files_count=3), "its number of files"),
        (answer(files_count="many"), "its number of files"),
        (answer(item_size=10_239), "smaller than a file"),
        (answer(item_size=-1), "smaller than a file"),
    ],
)
def test_nothing_is_removed_on_any_other_answer(said: dict[str, Any], why: str) -> None:
    assert why in str(obstacle(said))


@pytest.mark.parametrize("state", sorted(NO_TASKS))
def test_nothing_is_removed_while_tasks_are_pending(state: str) -> None:
    assert "tasks" in str(obstacle(answer(), {**NO_TASKS, state: 1}))


def test_metadata_that_says_pending_counts_against_the_tasks_api() -> None:
    assert "tasks" in str(obstacle(answer(pending_tasks=True), NO_TASKS))


def test_nothing_of_an_item_is_removed_that_is_not_known_to_be_ours() -> None:
    assert "not known" in str(obstacle(answer(), uploader=None))


@pytest.mark.parametrize("unknown", ["md5", "size"])
def test_what_the_ledger_does_not_know_cannot_be_compared(unknown: str) -> None:
    values = {name: getattr(TAR, name) for name in TAR.__slots__}
    piece = Piece(**{**values, unknown: None})
    assert f"another {unknown}" in str(obstacle(answer({unknown: None}), piece=piece))


@pytest.mark.parametrize("odd", sorted(ODD))
def test_no_odd_answer_of_the_sandbox_lets_anything_go(odd: str) -> None:
    assert obstacle(ODD[odd](answer()))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*answer(), "is_dark", "tasks", "error"]), values))
def test_no_answer_is_too_odd(changes: dict[str, Any]) -> None:
    said = {**answer(), **changes}
    found = obstacle(said)
    if not isinstance(said["files"], list) or FILE not in said["files"]:
        assert found
    assert found is not None or answer_obstacle(said, ITEM) is None
