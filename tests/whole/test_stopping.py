"""SIGINT, SIGTERM and SIGHUP end a crawl within seconds in every phase, with exit code 4."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, Crawling, wait_until

pytestmark = pytest.mark.long

USERS = [{"username": "bob", "images": 3000, "days": 40.0}, {"username": "few", "images": 5}]
#: What holds a crawl in each phase.
PHASES: dict[str, dict[str, Any]] = {
    "listing": {"api": {"stall": 1.0}},
    "waiting for the API": {"api": {"server_error": 1.0}},
    "fetching": {"cdn": {"latency_ms": 300}},
    "fetching from a CDN that stalls": {"cdn": {"stall_body": 1.0}},
    "waiting for the CDN": {"cdn": {"down": True}},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=3) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", PHASES)
def test_signal(sandbox: Sandbox, tmp_path: Path, phase: str, number: signal.Signals) -> None:
    sandbox.reset()
    sandbox.set_faults(PHASES[phase])
    crawling = Crawling(tmp_path / "store", sandbox)
    surface = next(iter(PHASES[phase]))
    with crawling.started(username="bob", quality="256", check_ia=0) as process:
        wait_until(lambda: sandbox.counters()["requests"].get(surface, 0) >= 2 - ("list" in phase))
        time.sleep(0.5)
        process.send_signal(number)
        output, _ = process.communicate(timeout=5)
    assert process.returncode == 4, output
    assert "Traceback" not in output


def test_the_terminal_is_closed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults(PHASES["fetching"])
    crawling = Crawling(tmp_path / "store", sandbox)
    with crawling.started(username="bob", quality="256", check_ia=0) as process:
        wait_until(lambda: sandbox.counters()["requests"].get("cdn", 0) >= 2)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)  # of the shell, and of the system
        output, _ = process.communicate(timeout=5)
    assert process.returncode == 4, output
    assert "listed " in output.splitlines()[-1]


def test_the_terminal_of_nohup_is_closed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    command = crawling.command(username="few", quality="256", check_ia=0)
    sandbox.set_faults({"cdn": {"latency_ms": 1000}})
    process = subprocess.Popen(
        ["nohup", *command], cwd=PROJECT, env=crawling.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until(lambda: sandbox.counters()["requests"].get("cdn", 0) >= 1)
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "listed 5 = saved 5" in output


@pytest.mark.parametrize("moment", ["engine_started", "spider_opened", "request_scheduled"])
def test_a_signal_as_the_crawl_begins(sandbox: Sandbox, tmp_path: Path, moment: str) -> None:
    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment["STOP_AT"] = moment
    options = ("-s", 'ADDONS={"tests.whole.add_ons.StopEarly": 0}')
    result = crawling.run(*options, username="bob", quality="256", check_ia=0)
    assert result.code == 4, result.output
    assert "ERROR" not in result.output
    assert "interrupted: listed 0 = " in result.lines[-1]
    assert "; run the same command again: scrapy crawl user -a username=bob" in result.lines[-1]


def test_a_signal_as_the_spider_has_nothing_left_to_do(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment["STOP_AT"] = "spider_idle"
    options = ("-s", 'ADDONS={"tests.whole.add_ons.StopEarly": 0}')
    result = crawling.run(*options, username="few", quality="256", check_ia=0)
    assert result.code in (0, 4), result.output
    assert "listed 5 = saved 5" in result.lines[-1]


def test_second_signal_ends_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults({"api": {"stall": 1.0}})
    crawling = Crawling(tmp_path / "store", sandbox)
    with crawling.started(username="bob", quality="256", check_ia=0) as process:
        wait_until(lambda: sandbox.counters()["requests"].get("api", 0) >= 1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert process.returncode == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_the_finish(tmp_path: Path, number: signal.Signals) -> None:
    with Sandbox.running([{"username": "daily", "images": 200, "days": 200.0}]) as sandbox:
        crawling = Crawling(tmp_path / "store", sandbox)
        log = tmp_path / "log"
        options = ["--logfile", str(log)]
        with crawling.started(*options, username="daily", quality="256") as process:
            wait_until(lambda: log.exists() and "sealing day 3 of" in log.read_text())
            process.send_signal(number)
            process.communicate(timeout=5)
        assert process.returncode == 4, log.read_text()
        last = log.read_text().splitlines()[-1]
        assert "WARNING: mapillary-daily-256: interrupted: listed 200 = saved 200" in last
        assert crawling.run(username="daily", quality="256").code == 0
        assert sandbox.counters()["images"]["repeated"] == 0
