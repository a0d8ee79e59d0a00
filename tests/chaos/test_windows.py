"""Instants and states between two steps in which a kill, or an outage, once cost something."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.archive.finish import move
from mapillary_crawler.collection.layout import LEDGER_PATH, PROGRESS_PATH
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import CursorMoved, FailedAttempt, State
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import ANN, Picture, add, deterministic_set, finish, pictures
from tests.archive.finish.test_killed import TwoDisks
from tests.crawling import Crawling, assert_complete
from tests.ledgers import fresh_ledger, row

pytestmark = pytest.mark.long


def test_rows_without_an_id_are_counted_once_however_often_they_are_listed() -> None:
    with fresh_ledger() as ledger:
        ledger.listing.commit(None, "c1", [row(1)], nameless=2)
        with pytest.raises(CursorMoved):
            ledger.listing.commit(None, "c1", [row(1)], nameless=2)
        ledger.listing.commit("c1", None, [row(2)], nameless=1)
        assert ledger.images.balance().nameless == 3
        ledger.listing.start_round(again=True)
        ledger.listing.commit(None, "c1", [row(1)], nameless=2)
        ledger.listing.commit("c1", None, [row(2)], nameless=1)
        assert ledger.images.balance().nameless == 3


def test_a_url_that_failed_is_not_tried_again_in_the_next_run() -> None:
    with fresh_ledger() as ledger:
        ledger.listing.commit(None, None, [row(1), row(2)])
        first, second = ledger.queue.draw(0, 10)
        ledger.queue.fail([FailedAttempt(first.number, "TransferFailed", 0)])
        ledger.queue.fail([FailedAttempt(second.number, "an outage", 0, counts=False)])
        ledger.start_run()
        again = {image.image_id: image.url for image in ledger.queue.draw(1, 10)}
        assert again == {first.image_id: None, second.image_id: second.url}


def test_what_was_accepted_in_a_run_that_was_killed_is_tried_again() -> None:
    with fresh_ledger() as ledger:
        ledger.listing.commit(None, None, [row(1), row(2)])
        ledger.settle([1], State.GONE)
        ledger.images.accept_failed()
        ledger.start_run()
        balance = ledger.images.balance()
        assert (balance.gone, balance.failed, balance.accepted) == (1, 1, 0)
        assert [image.number for image in ledger.queue.draw(0, 10)] == [2]


def test_a_gone_file_of_a_killed_finish_is_not_left(tmp_path: Path) -> None:
    add(tmp_path / "staging" / ANN.name, [Picture("1"), Picture("2")])
    (tmp_path / "staging" / ANN.name / "gone.jsonl").write_text('{"id":"1"}\n')
    finish(tmp_path / "staging" / ANN.name, tmp_path / "store")
    assert not (tmp_path / "store" / ANN.name / "gone.jsonl").exists()


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a collection that is ready to be finished, on another disk than the store."""
    TwoDisks(monkeypatch, tmp_path / "staging")
    add(tmp_path / "staging" / ANN.name, pictures(days=2, a_day=3))
    return tmp_path / "staging" / ANN.name


def test_progress_that_is_written_while_a_copy_is_made_holds_back_nothing(
    staging: Path, tmp_path: Path
) -> None:
    progress = staging / PROGRESS_PATH
    progress.write_text("{}")

    def stop() -> bool:
        if progress.parent.exists():
            progress.write_text("{}" * 100)
        return False

    finish(staging, tmp_path / "store", stop=stop)
    assert (tmp_path / "store" / ANN.name / LEDGER_PATH).exists()
    assert not staging.exists()


@pytest.mark.slow
def test_what_a_killed_move_left_goes_when_the_command_runs_again(
    staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Ledger(staging / LEDGER_PATH)) as ledger:
        ledger.facts.set(username=ANN.username)
    monkeypatch.setattr(move, "end_move", lambda *_: None)  # the kill
    finish(staging, tmp_path / "store")
    assert staging.exists()
    crawling = Crawling(tmp_path / "store")
    crawling.environment |= {
        "MAPILLARY_STAGING": str(staging.parent), "MAPILLARY_TOKEN": "MLY|1|" + "0" * 32,
    }  # fmt: skip
    before = deterministic_set(tmp_path / "store" / ANN.name)
    result = crawling.run(username=ANN.username, quality=ANN.quality)
    assert result.code == 0, result.output
    assert "is archived since" in result.output
    assert deterministic_set(tmp_path / "store" / ANN.name) == before
    assert not staging.parent.exists()


def test_nobody_waits_to_ask_again_once_the_run_is_being_stopped() -> None:
    run: Any = SimpleNamespace(closing=lambda: True, _woken=asyncio.Event())
    with pytest.raises(RunStopped):
        asyncio.run(Run.sleep(run, 60))


# Answers that are empty in silence


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 4])  # with these the first page is not silent twice
def test_silence_neither_ends_a_listing_nor_makes_an_image_unavailable(
    tmp_path: Path, seed: int
) -> None:
    users = [{"username": "erin", "images": 200, "days": 3.0}]
    faults = {"api": {"silent_empty": 0.3, "too_much_above": 63}, "cdn": {"expired": 0.1}}
    with Sandbox.running(users, seed=seed, faults=faults) as sandbox:
        crawling = Crawling(tmp_path / "store", sandbox)
        result = crawling.run(username="erin", quality="256", check_ia=0)
        assert result.code == 0, result.output
        assert result.balance["listed"] == result.balance["saved"] == 200
        assert_complete(crawling.store / "mapillary-erin-256", sandbox, "erin", "256")
        assert "answered with an empty page; asking again" in result.output
        assert sandbox.counters()["faults"]["api.silent_empty"] > 1
