"""What tasks are about, what follows on them, and what strangers may not write into a queue."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.ledger.records import Slice, SliceState
from mapillary_crawler.workers.verdict import Next
from mapillary_crawler.workers.work import Work, following, read_work

ALICE = Work("alice", {"quality": "256", "webp": "1"})


def part(number: int, *, is_open: bool) -> Slice:
    state = SliceState.OPEN if is_open else SliceState.ENDED
    return Slice(number, 100, "2024-01-01", "2024-01-02", state)


def of_alice(number: int, crashes: int = 0) -> Work:
    return Work(ALICE.username, ALICE.arguments, number, crashes)


@pytest.mark.parametrize("work", [ALICE, of_alice(3), of_alice(1, crashes=2)])
def test_a_task_holds_all_of_it(work: Work) -> None:
    assert read_work(**json.loads(json.dumps(work.fields()))) == work


def test_the_arguments_of_a_crawl() -> None:
    of_all = ["-a", "username=alice", "-a", "quality=256", "-a", "webp=1"]
    assert ALICE.options(cut=False) == of_all
    assert ALICE.options(cut=True) == [*of_all, "-a", "cut=1"]
    assert of_alice(7).options(cut=True) == [*of_all, "-a", "slice=7"]
    ends_soon = Work("alice", {"stop_after": "2h"})
    assert "cut=1" not in ends_soon.options(cut=True)


def test_no_two_write_in_one_folder() -> None:
    assert ALICE.key == "mapillary-alice-256-webp"
    assert of_alice(7).key == "mapillary-alice-256-webp#7"
    assert Work("alice", {"quality": "256"}).key != ALICE.key
    assert Work("alice", {**ALICE.arguments, "check_ia": "0"}).key == ALICE.key


@pytest.mark.parametrize(
    ("username", "arguments", "number", "crashes"),
    [
        (7, {}, None, 0),
        ("a/b", {}, None, 0),
        ("alice", [], None, 0),
        ("alice", {"username": "bob"}, None, 0),
        ("alice", {"cut": "1"}, None, 0),
        ("alice", {"slice": "1"}, None, 0),
        ("alice", {"ON_END": "rm"}, None, 0),
        ("alice", {"quality": "huge"}, None, 0),
        ("alice", {"tar": 1}, None, 0),
        ("alice", {"upload": "1", "tar": "0"}, None, 0),
        ("alice", {}, "1", 0),
        ("alice", {}, 0, 0),
        ("alice", {}, True, 0),
        ("alice", {}, None, "0"),
    ],
)
def test_what_no_task_may_have(username: Any, arguments: Any, number: Any, crashes: Any) -> None:
    with pytest.raises(ArgumentRefused):
        read_work(username, arguments, number, crashes)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(_JSON, _JSON, _JSON, _JSON)
def test_whatever_a_stranger_writes_is_refused_or_an_archive_of_a_user(
    username: Any, arguments: Any, number: Any, crashes: Any
) -> None:
    with suppress(ArgumentRefused):
        work = read_work(username, arguments, number, crashes)
        options = work.options(cut=True)
        assert set(options[::2]) == {"-a"}
        assert options[1] == f"username={work.username}"


def test_a_user_who_was_cut_goes_on_as_open_slices() -> None:
    slices = [part(3, is_open=False), part(1, is_open=True), part(2, is_open=True)]
    step = following(ALICE, 4, slices)
    assert step == (Next.DONE, (of_alice(1), of_alice(2)), 0)


@pytest.mark.parametrize("code", [0, 3])
def test_the_last_slice_brings_the_user_back(code: int) -> None:
    ended, still_open = part(1, is_open=False), part(2, is_open=True)
    assert following(of_alice(1), code, [ended, still_open]).works == ()
    assert following(of_alice(2, crashes=1), code, [ended, ended]).works == (ALICE,)
    assert following(of_alice(2), code, None).works == (ALICE,)  # merged meanwhile


@pytest.mark.parametrize("arguments", [{}, {"upload": "1"}, {"upload": "1", "remove": "1"}])
def test_a_slice_whose_ledger_cannot_be_read_is_shown(arguments: dict[str, str]) -> None:
    """Its crawl says 3, as one that ends with failed images does; but it is open."""
    slices = [part(1, is_open=True), part(2, is_open=True)]
    assert following(Work("alice", arguments, 1), 3, slices) == (Next.SHOWN, (), 0)


def test_where_all_goes_to_archive_org_each_slice_brings_the_user_back() -> None:
    """Who sends what there is: the user's own task alone speaks to archive.org."""
    whole = Work("alice", {"upload": "1"})
    slices = [part(1, is_open=False), part(2, is_open=True)]
    for code in (0, 3):
        assert following(Work("alice", {"upload": "1"}, 1), code, slices).works == (whole,)
    assert following(whole, 4, slices).works == (Work("alice", {"upload": "1"}, 2),)
    assert following(Work("alice", {"upload": "1"}, 2), 6, slices).next is Next.PAUSE_MACHINE


@pytest.mark.parametrize("code", [6, 9])
def test_a_slice_that_waits_brings_the_user_back_after_a_while(code: int) -> None:
    given = {"upload": "1", "remove": "1"}
    slices = [part(number, is_open=True) for number in range(1, 100)]
    step = following(Work("alice", given, 5), code, slices)
    assert (step.next, step.works) == (Next.DONE, (Work("alice", given),))
    assert step.seconds > 0
    works = following(Work("alice", given), 4, slices).works
    assert [each.number for each in works] == list(range(1, 9))
    assert following(Work("alice", given), 6, slices).next is Next.PAUSE_MACHINE


def test_a_slice_whose_urls_have_expired_brings_the_user_back() -> None:
    slices = [part(1, is_open=True), replace(part(2, is_open=True), wants_urls=True)]
    assert following(of_alice(2), 4, slices) == (Next.DONE, (ALICE,), 0)
    assert following(of_alice(1), 4, slices).works == (of_alice(1),)
    assert following(ALICE, 4, slices).works == (of_alice(1), of_alice(2))


def test_others_are_tried_again_as_they_were() -> None:
    still_open = [part(5, is_open=True)]
    assert following(ALICE, 4, None) == (Next.LATER, (ALICE,), 0)
    assert following(of_alice(5), 7, still_open) == (Next.LATER, (of_alice(5),), 900)
    assert following(of_alice(5), -9, still_open).works == (of_alice(5, crashes=1),)
    assert following(of_alice(5, crashes=2), -9, still_open) == (Next.SHOWN, (), 0)
    assert following(ALICE, 3, None) == (Next.SHOWN, (), 0)
    assert following(ALICE, 0, None) == (Next.DONE, (), 0)
