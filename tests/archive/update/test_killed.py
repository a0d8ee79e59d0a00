"""SIGKILL at any instant of an update, the merge into the store included, and the same again."""

from __future__ import annotations

import random
import shutil

import pytest

from mapillary_crawler.archive.update import merge
from mapillary_crawler.archive.update.journal import is_half_done
from tests.archive.finish.made import add, deterministic_set, finish, pictures
from tests.archive.finish.test_killed import TwoDisks, killed, lines_of
from tests.archive.update.updates import NAME, assert_whole, later, update

SOME = pictures(days=2, a_day=3)
NOW = later(SOME, SOME[1])


@pytest.mark.parametrize("tar", [True, False])
@pytest.mark.parametrize("disks", [1, 2])
@pytest.mark.parametrize(
    "rounds", [4, pytest.param(30, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_kill_at_any_line_leaves_the_collection_whole(tmp_path, monkeypatch, tar, disks, rounds):
    staged, store = tmp_path / "staging" / NAME, tmp_path / "store"
    add(staged, SOME)
    finish(staged, tmp_path / "template", tar=tar)
    template, folder = tmp_path / "template" / NAME, store / NAME
    if disks == 2:
        TwoDisks(monkeypatch, tmp_path / "staging")
        monkeypatch.setattr(merge, "on_one_disk", lambda *_: False)

    def fresh() -> None:
        for path in (staged.parent, store):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(template, folder)

    def run() -> None:
        update(staged, folder, NOW, tar=tar)

    old = deterministic_set(template)
    fresh()
    lines = lines_of(run)
    new = deterministic_set(folder)
    assert old != new
    instants = random.Random(tar + disks)
    kills = half_done = 0
    for number in range(rounds):
        fresh()
        at = lines * number // rounds + instants.randrange(lines // rounds)
        while killed(run, at):
            kills += 1
            half_done += is_half_done(folder)
            assert_whole(folder, old, new)
            at = instants.randrange(lines)  # and perhaps once more
        assert deterministic_set(folder) == new
        assert not staged.exists(), at
        assert [path.name for path in store.iterdir()] == [NAME]
        left = sorted(path.name for path in (folder / ".crawl").iterdir())
        assert left == ["ledger.sqlite", "updated.json"]
    assert kills >= rounds
    assert half_done or rounds < 30
