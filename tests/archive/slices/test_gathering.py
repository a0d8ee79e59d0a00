"""Slices that are merged as they end, beside others that are made and crawled."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.slices.merging import merge_ended
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SliceState
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import ANN, deterministic_set, finish, made_in_one, pictures
from tests.archive.finish.test_killed import kills_at_any_line
from tests.archive.slices.cut import crawl_slice, cut_in_two_runs, merge_all
from tests.ledgers import fast_folder

FEW = pictures(days=3, a_day=4)
MANY = pictures(days=24, a_day=3)


def gather(whole: Path) -> int:
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        return merge_ended(LedgerHere(ledger), whole, {whole.parent})


def forked(work: Callable[[], object]) -> int:
    """Do some work in a process of its own; return its number."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:  # noqa: BLE001
        traceback.print_exc(file=sys.stderr)
        os._exit(1)
    os._exit(0)


def test_three_processes_crawl_while_another_merges(tmp_path: Path) -> None:
    """The whole's ledger is written by one, opened and closed again and again, and read by all."""
    expected = made_in_one(tmp_path, MANY)
    with fast_folder() as folder:
        whole = folder / "staging" / ANN.name
        slices = cut_in_two_runs(whole, MANY, size=3)
        assert len(slices) > 15

        def crawl(first: int) -> None:
            for part in slices[first::3]:
                lock = Lock({whole.parent}, slice_folder(whole, part.number).name)
                crawl_slice(whole, part, MANY)
                lock.release()

        def merge() -> None:
            merged = 0
            while merged < len(slices):
                merged += gather(whole)

        children = [forked(lambda first=first: crawl(first)) for first in range(3)]  # type: ignore[misc]
        children.append(forked(merge))
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        with closing(Ledger(whole / LEDGER_PATH, read_only=True)) as ledger:
            assert {part.state for part in ledger.slices.all()} == {SliceState.MERGED}
        merge_all(whole, MANY)
        assert not list(whole.parent.glob("*#*"))
        assert deterministic_set(finish(whole, folder / "store").destination) == expected


@pytest.mark.parametrize(
    "rounds", [3, pytest.param(30, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_kill_at_any_line_changes_nothing(tmp_path: Path, rounds: int) -> None:
    expected = made_in_one(tmp_path, FEW)
    with fast_folder() as folder:
        staging = folder / "staging"
        whole = staging / ANN.name
        cut_in_two_runs(whole, FEW, size=5, saved=6)
        shutil.copytree(staging, folder / "template")

        def fresh() -> None:
            for place in (staging, folder / "store"):
                shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "template", staging)

        def run() -> None:
            gather(whole)
            with closing(Ledger(whole / LEDGER_PATH)) as ledger:
                parts = ledger.slices.unmerged()
            for part in parts:
                crawl_slice(whole, part, FEW, [FEW[9].image_id])
                gather(whole)
            merge_all(whole, FEW)

        def ended(at: int) -> None:
            finished = finish(whole, folder / "store").destination
            assert deterministic_set(finished) == expected, at

        assert kills_at_any_line(rounds, fresh, run, ended) >= rounds - 1
