"""SIGKILL at any instant of an update, the merge into the store included, and the same again."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest

from mapillary_crawler.archive.update import merge
from mapillary_crawler.collection.layout import ARRIVING, LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from tests.archive.finish.made import add, deterministic_set, finish, pictures
from tests.archive.finish.test_killed import TwoDisks
from tests.archive.update.updates import NAME, assert_kills_change_nothing, later, update
from tests.ledger.killed import kill_writer

SOME = pictures(days=2, a_day=3)
NOW = later(SOME, SOME[1])


def test_what_a_kill_has_left_of_the_ledger_s_copy_is_not_the_next_one_s(tmp_path, monkeypatch):
    """SQLite takes a journal back into whatever ledger it lies beside."""
    staged, folder = tmp_path / "staging" / NAME, tmp_path / "store" / NAME
    add(staged, SOME)
    finish(staged, folder.parent)
    arriving = folder / ARRIVING / LEDGER_PATH

    def killed(*_: object) -> None:
        kill_writer(arriving, "journal")
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(merge, "write_journal", killed)
        with pytest.raises(KeyboardInterrupt):
            update(staged, folder, NOW)
    assert arriving.with_name("ledger.sqlite-journal").exists()
    update(staged, folder, NOW)
    assert not staged.exists()
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        assert ledger.facts.get("before") is None
        assert ledger.database.value("PRAGMA integrity_check") == "ok"
    before = deterministic_set(folder)
    update(staged, folder, NOW)
    assert deterministic_set(folder) == before


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

    def ended() -> None:
        assert not staged.exists()
        assert [path.name for path in store.iterdir()] == [NAME]
        left = sorted(path.name for path in (folder / ".crawl").iterdir())
        assert left == ["ledger.sqlite", "updated.json"]

    assert_kills_change_nothing(
        run, fresh, template, folder, rounds=rounds, seed=tar + disks, ended=ended
    )
