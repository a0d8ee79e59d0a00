"""`crawl user -a upload=1`, against the sandbox's service and its archive.org."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import time
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import IA_KEYS, Crawling, wait_until

pytestmark = pytest.mark.slow

ITEM = "mapillary-up-256"


@pytest.fixture
def sandbox():
    users = [{"username": "up", "images": 60, "days": 5.0, "dead": 2}]
    with Sandbox.running(users, seed=5) as running:
        yield running


@pytest.fixture
def crawling(sandbox, tmp_path):
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment |= {
        **IA_KEYS,
        "HOME": str(tmp_path),
        "IA_RETRY_WAIT": "0.02",
        "IA_PATIENCE": "20",
        "TAR_MAX_BYTES": "100MB",
    }
    return crawling


def upload(crawling: Crawling, *options: str, **arguments):
    return crawling.run(*options, username="up", quality="256", upload=1, **arguments)


def published(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".")
    }


def held(sandbox) -> dict[str, str]:
    return {file["name"]: file["md5"] for file in sandbox.archive()["items"][ITEM]["files"]}


def tar_states(folder: Path) -> set[PieceState]:
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    try:
        return {piece.state for piece in ledger.pieces.all() if piece.day}
    finally:
        ledger.close()


def test_one_command_archives_and_uploads(crawling, sandbox):
    result = upload(crawling)
    assert result.code == 0, result.output
    folder = crawling.store / ITEM
    assert held(sandbox) == published(folder)
    item = sandbox.archive()["items"][ITEM]["metadata"]
    assert "Contains 58 images in 256px resolution" in item["description"]
    assert "so far" not in item["description"]
    assert item["coverage"]
    assert "SECRET" not in result.output
    puts = [put["name"] for put in sandbox.archive()["puts"]]
    tars = [name for name in puts if name.endswith(".tar")]
    assert puts[: len(tars)] == tars
    assert puts[-1] == "SHA256SUMS"
    assert len(puts) == len(set(puts))
    (log,) = folder.glob("download.log.*")
    assert "complete: listed 60" in log.read_text().splitlines()[-1]

    before = sandbox.counters()["requests"]
    again = upload(crawling)
    assert (again.code, "is archived since" in again.output) == (0, True), again.output
    assert sandbox.counters()["requests"] == before, "no request"
    gone = upload(crawling, remove=1)
    assert gone.code == 0, gone.output
    assert not list(folder.glob("*.tar"))
    assert tar_states(folder) == {PieceState.REMOVED}
    assert len(sandbox.archive()["puts"]) == len(puts)
    before = sandbox.counters()["requests"]
    assert upload(crawling, remove=1).code == 0
    assert sandbox.counters()["requests"] == before, "no request"
    assert crawling.scrapy("verify", str(folder)).code == 0


@pytest.mark.long
def test_keys_are_missing_before_any_request(crawling, sandbox):
    del crawling.environment["IA_ACCESS_KEY_ID"]
    del crawling.environment["IA_SECRET_ACCESS_KEY"]
    result = upload(crawling)
    assert result.code == 2, result.output
    assert "no keys for archive.org" in result.output
    assert sandbox.counters()["requests"] == {}
    assert not crawling.store.exists()


@pytest.mark.long
def test_refused_keys_cost_the_upload_alone(crawling, sandbox):
    sandbox.set_faults({"archive": {"refusal": "item"}})
    result = upload(crawling, remove=1)
    assert result.code == 10, result.output
    assert "privileges to write to this item" in result.lines[-1]
    folder = crawling.store / ITEM
    assert len(list(folder.glob("*.tar"))) >= 5
    requests = sandbox.counters()["requests"]
    sandbox.set_faults({"archive": {"refusal": ""}})
    again = upload(crawling, remove=1)
    assert again.code == 0, again.output
    after = sandbox.counters()["requests"]
    assert {name for name in after if after[name] != requests.get(name)} == {"archive"}
    assert not list(folder.glob("*.tar"))
    assert len(list(folder.glob("download.log.*"))) == 1


@pytest.mark.long
def test_archive_org_away_is_waited_for_and_then_left(crawling, sandbox):
    crawling.environment["IA_PATIENCE"] = "0.2"
    sandbox.set_faults({"archive": {"slow_down": 1.0}})
    result = upload(crawling, webp=1)
    assert result.code == 10, result.output
    assert "archive.org stayed unavailable" in result.lines[-1]
    folder = crawling.store / f"{ITEM}-webp"
    assert (folder / "SHA256SUMS").exists()
    sandbox.set_faults({"archive": {"slow_down": 0.0}})
    again = upload(crawling, webp=1)
    assert again.code == 0, again.output
    item = sandbox.archive()["items"][folder.name]
    assert {file["name"] for file in item["files"]} == set(published(folder))


@pytest.mark.long
def test_weather_costs_nothing(crawling, sandbox):
    weather = {"slow_down": 0.1, "reset": 0.05, "reset_in_upload": 0.05, "lost": 0.1}
    sandbox.set_faults({"archive": {**weather, "task_seconds": 0.1}})
    result = upload(crawling, remove=1)
    assert result.code == 0, result.output
    assert not list((crawling.store / ITEM).glob("*.tar"))
    tars = {name for name in held(sandbox) if name.endswith(".tar")}
    sums = (crawling.store / ITEM / "SHA256SUMS").read_text().splitlines()
    assert tars == {line.split()[1] for line in sums if line.endswith(".tar")}


@pytest.mark.long
def test_a_stop_in_the_last_phase_is_an_interruption(crawling, sandbox):
    sandbox.set_faults({"archive": {"task_seconds": 60}})
    with crawling.started(username="up", quality="256", upload=1) as process:
        wait_until((crawling.store / ITEM / "SHA256SUMS").exists)
        wait_until(lambda: sandbox.archive()["puts"])
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 4, output
    progress = json.loads((crawling.store / ITEM / ".crawl/progress.json").read_text())
    assert progress["exit_code"] == 4


@pytest.mark.long
def test_kills_cost_one_upload_each_and_nothing_else(crawling, sandbox, tmp_path):
    whole = Crawling(tmp_path / "whole", sandbox)
    assert whole.run(username="up", quality="256").code == 0
    weather = {"slow_down": 0.1, "reset": 0.05, "latency_ms": 20, "task_seconds": 0.1}
    sandbox.set_faults({"archive": weather})
    generator, kills = random.Random(3), 0
    while True:
        with crawling.started(username="up", quality="256", upload=1, remove=1) as process:
            if kills < 5:
                target = len(sandbox.archive()["puts"]) + generator.randrange(1, 4)
                while process.poll() is None and len(sandbox.archive()["puts"]) < target:
                    time.sleep(0.01)
                if process.poll() is None:
                    process.kill()
                    kills += 1
            output, _ = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, output
    folder = crawling.store / ITEM
    assert not list(folder.glob("*.tar"))
    accepted = sandbox.archive()["accepted"]
    tars = {path.name for path in (whole.store / ITEM).glob("*.tar")}
    assert {name.rpartition("/")[2] for name in accepted} >= tars
    assert sum(accepted.values()) - len(accepted) <= kills
    for name in tars:
        assert held(sandbox)[name] == published(whole.store / ITEM)[name]
    sums = "SHA256SUMS"
    assert (folder / sums).read_bytes() == (whole.store / ITEM / sums).read_bytes()


def _forget_the_upload(folder: Path) -> None:
    ledger = Ledger(folder / LEDGER_PATH)
    try:
        ledger.facts.set(uploaded_at=0)
    finally:
        ledger.close()


@pytest.mark.long
def test_a_metadata_write_that_is_refused_is_tried_again_by_the_next_run(crawling, sandbox):
    sandbox.set_faults({"archive": {"write_refused": 1.0}})
    result = upload(crawling)
    assert result.code == 10, result.output
    assert "its description still says that more is to come" in result.lines[-1]
    assert "images so far" in sandbox.archive()["items"][ITEM]["metadata"]["description"]
    sandbox.set_faults({"archive": {"write_refused": 0.0}})
    assert upload(crawling).code == 0
    assert "Contains 58 images" in sandbox.archive()["items"][ITEM]["metadata"]["description"]


@pytest.mark.long
def test_a_written_description_holds_up_no_removal(crawling, sandbox):
    """The request that replaces metadata has a task, too; nothing is removed as long as it has."""
    assert upload(crawling).code == 0
    text = "At least 3 images so far, of 60 listed"
    sandbox.change_items({ITEM: {"metadata": {"description": text}}})
    sandbox.set_faults({"archive": {"write_seconds": 2.0}})
    result = upload(crawling, remove=1)
    assert result.code == 0, result.output
    assert not list((crawling.store / ITEM).glob("*.tar"))
    assert "Contains 58 images" in sandbox.archive()["items"][ITEM]["metadata"]["description"]


@pytest.mark.long
def test_an_error_that_ends_the_crawl_lets_archive_org_know_how_far_it_is(crawling, sandbox):
    sandbox.set_faults({"cdn": {"latency_ms": 100}})
    crawling.environment |= {"MAPILLARY_CONCURRENCY_FIXED": "2", "API_PATIENCE": "1"}
    with crawling.started(username="up", quality="256", upload=1) as process:
        wait_until(lambda: any(put["name"].endswith(".tar") for put in sandbox.archive()["puts"]))
        sandbox.set_faults({"cdn": {"down": True}})
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 7, output
    assert "checksums.jsonl.gz" in held(sandbox)
    assert "could not be told" not in output


@pytest.mark.long
def test_a_description_that_archive_org_accepts_and_does_not_show_is_told(crawling, sandbox):
    crawling.environment["IA_RETRY_WAIT"] = "0.001"
    assert upload(crawling).code == 0
    text = "At least 3 images so far, of 60 listed"
    sandbox.change_items({ITEM: {"metadata": {"description": text}}})
    _forget_the_upload(crawling.store / ITEM)
    sandbox.set_faults({"archive": {"write_lost": 1.0}})
    result = upload(crawling)
    assert result.code == 10, result.output
    assert "accepted another one, and does not show it" in result.lines[-1]
    sandbox.set_faults({"archive": {"write_lost": 0.0}})
    assert upload(crawling).code == 0
    assert "Contains 58 images" in sandbox.archive()["items"][ITEM]["metadata"]["description"]
