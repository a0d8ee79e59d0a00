"""`scrapy page`: for finished collections, and nothing else."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.update.beginning import begin_update
from mapillary_crawler.collection.layout import LEDGER_PATH, VIEWS
from mapillary_crawler.ledger.ledger import Ledger
from tests.archive.finish.made import add, finish
from tests.commands.in_process import BODIES, NAME, Commands, made, tree


@pytest.fixture
def commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Commands:
    return Commands(tmp_path / "store", capfd, monkeypatch)


def without_page(store: Path) -> Path:
    """Return a finished collection of page=0."""
    folder = store / ".incomplete" / NAME
    add(folder, BODIES)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.facts.set(page=False, tar=True)
    finish(folder, store)
    return store / NAME


def test_it_is_made_where_there_is_none(commands: Commands) -> None:
    folder = without_page(commands.store)
    assert not any((folder / name).exists() for name in VIEWS)
    assert commands.run("page", "ann") == 0, commands.err
    assert f"open {folder / 'index.html'}" in commands.out
    assert " made" in commands.out
    found = tree(folder)
    assert set(VIEWS) < set(found)
    assert commands.run("verify", NAME, "--fast") == 0, commands.err
    assert commands.run("page", NAME) == 0
    assert "are as this version makes them" in commands.out
    assert tree(folder) == found


@pytest.mark.parametrize("name", VIEWS)
def test_one_that_was_lost_comes_back(commands: Commands, name: str) -> None:
    folder = made(commands.store)
    whole = tree(folder)
    (folder / name).unlink()
    assert commands.run("page", NAME) == 0, commands.err
    assert " made" in commands.out
    assert tree(folder).keys() == whole.keys()
    assert (folder / name).read_bytes() == whole[name]
    assert "missing" not in commands.err
    assert commands.run("verify", NAME, "--fast") == 0, commands.out


def test_tars_that_are_cut_or_missing_are_named(commands: Commands) -> None:
    folder = made(commands.store)
    cut, missing, whole = sorted(path.name for path in folder.glob("*.tar"))
    os.truncate(folder / cut, 700)
    (folder / missing).unlink()
    assert commands.run("page", NAME) == 0, commands.err
    *told, last = (line.removeprefix("scrapy page: ") for line in commands.err.splitlines())
    assert [line for line in told if line.startswith(f"{NAME}/")] == [
        f"{NAME}/{cut}: another size",
        f"{NAME}/{missing}: missing",
    ]
    assert last.endswith(f"mend it with: scrapy repair {NAME}")
    assert commands.run("verify", NAME) == 1
    assert f"{NAME}/{cut}: changed, 700 bytes instead of 10240" in commands.out
    assert f"{NAME}/{missing}: missing" in commands.out
    assert f"{NAME}/{whole}: missing" not in commands.out


@pytest.mark.parametrize(
    "change", ["""day = '"><script>alert(1)</script>'""", "day = '2019-02-30'", "sequence = '..'"]
)
def test_ledgers_of_strangers_are_named(commands: Commands, change: str) -> None:
    folder = without_page(commands.store)
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        ledger.execute(f"UPDATE images SET {change} WHERE number = 1")
        ledger.commit()
    assert commands.run("page", NAME) == 1
    assert commands.err.endswith("the ledger is damaged: an image is no image\n")
    assert not (folder / "index.html").exists()


def test_rows_that_do_not_unpack_are_named(commands: Commands) -> None:
    folder = without_page(commands.store)
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        ledger.execute("UPDATE pages SET rows = x'00'")
        ledger.commit()
    assert commands.run("page", NAME) == 3
    line = commands.err.splitlines()[-1]
    assert f"{folder}/" in line
    assert " is damaged: listed rows do not unpack" in line
    assert line.endswith("mend it with the command repair")
    assert commands.run("repair", NAME) == 0, commands.err
    assert commands.run("page", NAME) == 0, commands.err


def test_what_is_not_finished_is_refused(commands: Commands) -> None:
    add(commands.store / ".incomplete" / NAME, BODIES)
    assert commands.run("page", NAME) == 2
    assert "is not finished; its crawl makes index.html" in commands.err


def test_without_a_ledger_it_says_what_mends_that(commands: Commands) -> None:
    folder = made(commands.store)
    (folder / LEDGER_PATH).unlink()
    assert commands.run("page", NAME) == 2
    assert "has no ledger; mend it with: " in commands.err


def test_an_update_under_way_is_to_be_finished_first(commands: Commands) -> None:
    folder = without_page(commands.store)
    staged = commands.store / ".incomplete" / NAME
    begin_update(folder, staged)
    before = tree(folder)
    assert commands.run("page", NAME) == 2
    assert f"an update of it is under way in {staged}" in commands.err
    assert tree(folder) == before
