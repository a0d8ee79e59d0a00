"""SIGKILL at any instant of an update, the merge into the store included, and the same again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.repair.finished_again import to_staging
from mapillary_crawler.archive.update import finishing, journal, merge
from mapillary_crawler.archive.update.beginning import begin_update
from mapillary_crawler.archive.update.journal import finish_update
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import ARRIVING, LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Changes
from tests.archive.finish.made import add, deterministic_set, finish, pictures
from tests.archive.finish.test_killed import TwoDisks
from tests.archive.update.updates import NAME, assert_kills_change_nothing, later, update
from tests.ledger.killed import kill_writer

SOME = pictures(days=2, a_day=3)
NOW = later(SOME, SOME[1])


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    return tmp_path / "staging" / NAME


@pytest.fixture
def folder(tmp_path: Path, staged: Path) -> Path:
    """Return a finished collection."""
    add(staged, SOME)
    finish(staged, tmp_path / "store")
    return tmp_path / "store" / NAME


@pytest.fixture
def kill_at(staged: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give what updates, and is killed where something is called, after it does some work."""

    def run(place: object, name: str, work: Callable[[], object] = lambda: None) -> None:
        def killed(*_: object) -> None:
            work()
            raise KeyboardInterrupt

        with monkeypatch.context() as context:
            context.setattr(place, name, killed)
            with pytest.raises(KeyboardInterrupt):
                update(staged, folder, NOW)

    return run


def assert_updated(staged: Path, folder: Path) -> None:
    """Assert that an update has ended, and that the next one finds it so."""
    assert not staged.exists()
    before = deterministic_set(folder)
    finished = update(staged, folder, NOW)
    assert finished is not None
    assert finished.changes == Changes()
    assert deterministic_set(folder) == before
    assert not staged.exists()


def test_what_a_kill_has_left_of_the_ledger_s_copy_is_not_the_next_one_s(staged, folder, kill_at):
    """SQLite takes a journal back into whatever ledger it lies beside."""
    arriving = folder / ARRIVING / LEDGER_PATH
    kill_at(merge, "write_journal", lambda: kill_writer(arriving, "journal"))
    assert arriving.with_name("ledger.sqlite-journal").exists()
    update(staged, folder, NOW)
    assert_updated(staged, folder)
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        assert ledger.facts.get("before") is None
        assert ledger.database.value("PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("begun", [False, True])
def test_what_a_killed_upload_has_begun_is_in_no_update_s_way(staged, folder, kill_at, begun):
    if begun:
        kill_at(merge, "write_journal")
    kill_writer(folder / LEDGER_PATH, "journal")
    update(staged, folder, NOW)
    assert_updated(staged, folder)


@pytest.mark.parametrize("begun", [False, True])
def test_who_reads_the_ledger_meanwhile_changes_nothing(
    staged, folder, kill_at, monkeypatch, begun
):
    """As `status` does: then SQLite leaves the last rows beside the ledger, in its WAL."""
    if begun:
        kill_at(merge, "write_journal")
    ends, readers = finishing._end, []

    def read(ledger: Ledger) -> Balance:
        readers.append(Ledger(staged / LEDGER_PATH, read_only=True))
        readers[0].images.balance()
        return ends(ledger)

    with monkeypatch.context() as context:
        context.setattr(finishing, "_end", read)
        update(staged, folder, NOW)
    readers[0].close()
    assert_updated(staged, folder)


@pytest.mark.parametrize("at", ["_remove_rest", "sync_folder"])
def test_a_kill_while_staging_is_removed_leaves_nothing_there(staged, folder, monkeypatch, at):
    known = getattr(journal, at)

    def killed(path: Path) -> None:
        if path.is_relative_to(staged):
            raise KeyboardInterrupt
        known(path)

    with monkeypatch.context() as context:
        context.setattr(journal, at, killed)
        with pytest.raises(KeyboardInterrupt):
            update(staged, folder, NOW)
    assert staged.exists()
    assert finish_update(folder, staged)
    assert_updated(staged, folder)


def test_the_logs_of_runs_that_were_killed_are_kept(staged, folder, kill_at):
    names = [f"download.log.2026010{day}T000000Z" for day in (1, 2)]
    begin_update(folder, staged)
    (staged / names[0]).write_text("one")
    kill_at(merge, "write_journal")
    (staged / names[1]).write_text("two")
    update(staged, folder, NOW)
    assert [(folder / name).read_text() for name in names] == ["one", "two"]


def test_a_repair_is_not_kept_from_what_another_command_has_updated(staged, folder, kill_at):
    """Which ends an update without looking into staging, as an upload does."""
    kill_at(merge, "finish_update")
    assert finish_update(folder)
    assert staged.exists()
    assert to_staging(folder, staged.parent) == staged
    assert not folder.exists()


@pytest.mark.parametrize("tar", [True, False])
@pytest.mark.parametrize("disks", [1, 2])
@pytest.mark.parametrize(
    "rounds", [4, pytest.param(30, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_kill_at_any_line_leaves_the_collection_whole(
    tmp_path, staged, monkeypatch, tar, disks, rounds
):
    store = tmp_path / "store"
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
