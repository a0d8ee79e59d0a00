"""`scrapy page`: a finished collection gets its page in its place, whatever kills it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mapillary_crawler.archive.update.journal import finish_update
from mapillary_crawler.archive.update.page import add_page
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from tests.archive.finish.made import ANN, deterministic_set, pictures
from tests.archive.finish.test_views import daily, finished, shown
from tests.archive.update.updates import NAME, assert_kills_change_nothing, update

SOME = [*pictures(days=2, a_day=3), *daily(20)]


def page(folder: Path) -> bool:
    return add_page(folder, ANN, stop=lambda: False, say=lambda _: None)


@pytest.mark.parametrize("tar", [True, False])
def test_it_is_that_of_a_collection_that_was_finished_with_one(tmp_path: Path, tar: bool) -> None:
    expected = deterministic_set(finished(tmp_path / "with", SOME, tar=tar))
    folder = finished(tmp_path / "without", SOME, tar=tar, page=False)
    assert page(folder)
    assert deterministic_set(folder) == expected
    assert sorted(path.name for path in (folder / ".crawl").iterdir()) == ["ledger.sqlite"]
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert not page(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times


def test_a_collection_whose_tars_are_gone_has_the_pictures_of_its_ledger(tmp_path: Path) -> None:
    expected = shown(finished(tmp_path / "with", SOME))
    folder = finished(tmp_path / "without", SOME, page=False)
    ledger = Ledger(folder / LEDGER_PATH)
    for tar in folder.glob("*.tar"):
        tar.unlink()
        ledger.pieces.set_state(tar.name, PieceState.REMOVED, NAME)
    ledger.close()
    assert page(folder)
    assert shown(folder) == expected
    assert not list(folder.glob("*.tar"))


def test_an_older_collection_is_of_this_format_then(tmp_path: Path) -> None:
    folder = finished(tmp_path, SOME, page=False)
    ledger = Ledger(folder / LEDGER_PATH)
    finished_at = ledger.facts.get("finished_at")
    ledger.facts.set(page=None, format=2)
    ledger.database.execute("DELETE FROM samples")
    ledger.close()
    (folder / ".meta/mapillary_crawler_format/0").write_text("2")
    assert page(folder)
    ledger = Ledger(folder / LEDGER_PATH)
    assert (ledger.facts.get("page"), ledger.facts.get("format")) == (True, 3)
    assert ledger.facts.get("finished_at") == finished_at
    ledger.close()
    assert len(shown(folder)) == 16


def test_an_update_goes_on_from_it(tmp_path: Path) -> None:
    folder = finished(tmp_path, daily(3), page=False)
    assert page(folder)
    before = shown(folder)
    assert update(tmp_path / "staging" / NAME, folder, daily(6))
    assert set(before) < set(shown(folder))


@pytest.mark.parametrize(
    "rounds", [4, pytest.param(30, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_kill_at_any_line_leaves_the_collection_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    template = finished(tmp_path, [*pictures(days=1, a_day=2), *daily(2)], page=False)
    folder = tmp_path / "here" / NAME

    def fresh() -> None:
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(template, folder)

    def run() -> None:
        finish_update(folder)
        page(folder)

    def ended() -> None:
        assert sorted(path.name for path in (folder / ".crawl").iterdir()) == ["ledger.sqlite"]

    assert_kills_change_nothing(run, fresh, template, folder, rounds=rounds, seed=1, ended=ended)
