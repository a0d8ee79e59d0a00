"""What an answer says of the tars that an item was sent."""

from __future__ import annotations

import pytest

from mapillary_crawler.archive.internet_archive.watching import Seen, seen
from mapillary_crawler.ledger.records import Piece, PieceState

ITEM, UPLOADER = "mapillary-ann-original", "ann@example.org"


def piece(name: str, md5: bytes = b"m" * 16) -> Piece:
    return Piece(
        1, name, name.partition(".")[0], 0, 1, 10, b"s" * 32, md5, PieceState.UPLOADED, ITEM
    )


ONE, TWO = piece("2024-01-15.tar"), piece("2024-01-16.tar")


def answer(*pieces: Piece, **more) -> dict:
    files = [{"name": each.name, "size": "10", "md5": each.md5.hex()} for each in pieces]
    return {"metadata": {"identifier": ITEM, "uploader": UPLOADER}, "files": files, **more}


def look(said, *, tasks=None, verified=(), uploader=UPLOADER) -> Seen:
    return seen(said, tasks, [ONE, TWO], item=ITEM, uploader=uploader, verified=frozenset(verified))


def test_what_is_there_is_verified_and_may_be_removed():
    result = look(answer(ONE, TWO), tasks={"queued": 0})
    assert (result.verified, result.removable) == ([ONE, TWO], [ONE, TWO])
    assert (result.changed, result.waits_for, result.missing) == (None, None, [])


def test_what_is_not_there_is_missing_and_the_rest_is_verified():
    result = look(answer(TWO))
    assert (result.verified, result.missing) == ([TWO], [ONE])


@pytest.mark.parametrize(
    ("more", "tasks"),
    [
        ({"pending_tasks": True}, None),
        ({"tasks": [1]}, {}),
        ({}, {"queued": 1}),
        ({}, {"error": 1}),
    ],
)
def test_nothing_is_verified_or_missing_while_tasks_are_pending(more, tasks):
    result = look(answer(ONE, **more), tasks=tasks)
    assert result.waits_for
    assert (result.verified, result.removable, result.missing) == ([], [], [])


def test_an_item_that_is_not_known_to_be_ours_keeps_all_here():
    result = look(answer(ONE, TWO), uploader=None)
    assert (result.verified, result.removable) == ([ONE, TWO], [])
    assert "not known that the item is of these keys" in str(result.obstacle)


@pytest.mark.parametrize("pending", [True, False])
def test_what_was_there_and_is_not_has_changed_whatever_is_pending(pending):
    gone = look(answer(TWO, pending_tasks=pending), verified={ONE.name})
    assert gone.changed == f"{ITEM} no longer has {ONE.name}"
    other = piece(ONE.name, b"o" * 16)
    changed = look(answer(other, TWO, pending_tasks=pending), verified={ONE.name})
    assert changed.changed == f"{ITEM} has another {ONE.name} than was sent"
    assert changed.removable == gone.removable == []


def test_another_file_of_that_name_is_a_change_once_no_task_may_replace_it():
    other = piece(ONE.name, b"o" * 16)
    assert look(answer(other, TWO, pending_tasks=True)).changed is None
    assert look(answer(other, TWO)).changed == f"{ITEM} has another {ONE.name} than was sent"


def test_another_uploader_and_the_dark_are_changes():
    taken = look(answer(ONE, TWO), uploader="bob@example.org")
    assert taken.changed == f"{ITEM} has another uploader than after the upload"
    assert look({"is_dark": True}).changed == f"archive.org has made {ITEM} dark"


@pytest.mark.parametrize("odd", [{}, {"error": "x"}, answer(ONE, servers_unavailable=True)])
def test_an_answer_that_proves_nothing_changes_nothing(odd):
    result = look(odd, verified={ONE.name})
    assert result.waits_for
    assert (result.changed, result.verified, result.missing) == (None, [], [])
