"""SIGKILL at any instant of a slice and of its merge, and the same again."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from tests.archive.finish.made import ANN, deterministic_set, finish, made_in_one, pictures
from tests.archive.finish.test_killed import kills_at_any_line
from tests.archive.slices.cut import crawl_slice, cut_in_two_runs, merge_all
from tests.ledgers import fast_folder

SOME = pictures(days=3, a_day=4)


@pytest.mark.parametrize(
    "rounds", [3, pytest.param(40, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_kill_at_any_line_changes_nothing(tmp_path: Path, rounds: int) -> None:
    in_one = made_in_one(tmp_path, SOME)
    with fast_folder() as folder:
        staging = folder / "staging"
        whole = staging / ANN.name
        cut_in_two_runs(whole, SOME, size=5, saved=6)
        shutil.copytree(staging, folder / "template")

        def fresh() -> None:
            for place in (staging, folder / "store"):
                shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "template", staging)

        def run() -> None:
            with closing(Ledger(whole / LEDGER_PATH)) as ledger:
                parts = ledger.slices.unmerged()
            for part in parts:
                crawl_slice(whole, part, SOME, [SOME[9].image_id])
            merge_all(whole, SOME)

        def ended(at: int) -> None:
            assert not list(staging.glob("*#*")), at
            finished = finish(whole, folder / "store").destination
            assert deterministic_set(finished) == in_one, at

        assert kills_at_any_line(rounds, fresh, run, ended) >= rounds - 1
