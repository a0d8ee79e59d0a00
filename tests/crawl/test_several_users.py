"""Names from a file, shares of the concurrency, and processes that fail or are stopped."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mapillary_crawler import settings
from mapillary_crawler.collection.configuration import Configuration, read_configuration
from mapillary_crawler.crawl.several_users import Crawls, read_names, shares


def test_names_and_comments() -> None:
    text = "alice\n\n# nobody\n  bob  # a friend\ncar#ol\n#dave\nalice\r\nJo Do\n"
    assert read_names(text.splitlines(keepends=True)) == ["alice", "bob", "car#ol", "Jo Do"]


@pytest.fixture
def configuration() -> Configuration:
    given = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    configuration = read_configuration({**given, "MAPILLARY_API_URL": "http://127.0.0.1"}, {})
    return replace(
        configuration,
        concurrency_max=128,
        concurrency_min=1,
        concurrency_start=16,
        concurrency_fixed=0,
    )


def test_one_crawl_keeps_everything(configuration: Configuration) -> None:
    assert shares(configuration, 1) == {}


@pytest.mark.parametrize("jobs", [2, 3, 16, 1000])
def test_crawls_share_the_concurrency(configuration: Configuration, jobs: int) -> None:
    given = shares(configuration, jobs)
    most = given["MAPILLARY_CONCURRENCY_MAX"]
    assert most * jobs <= 128 or most == 1
    assert 1 <= given["MAPILLARY_CONCURRENCY_MIN"] <= given["MAPILLARY_CONCURRENCY_START"] <= most
    assert given["MAPILLARY_CONCURRENCY_FIXED"] == 0
    assert given["MAX_BYTES_PER_SECOND"] == 0
    braked = shares(replace(configuration, max_bytes_per_second=500), jobs)
    assert braked["MAX_BYTES_PER_SECOND"] == max(1, 500 // jobs)
    fixed = shares(replace(configuration, concurrency_fixed=30), jobs)
    assert fixed["MAPILLARY_CONCURRENCY_FIXED"] == max(1, 30 // jobs)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_goes_on_when_one_fails(jobs: int, capfd: pytest.CaptureFixture[str]) -> None:
    codes = {"a": "exit(3)", "b": "print('hello')", "c": "import os; os.kill(os.getpid(), 9)"}
    crawls = Crawls(list(codes), jobs, lambda name: python(codes[name]))
    assert crawls.run() == {"a": 3, "b": 0, "c": -9}
    written = capfd.readouterr()
    assert "hello\n" in written.out if jobs == 1 else "[b] hello\n" in written.err


def test_never_more_at_once(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(running: Sequence[str]) -> None:
        seen.append(len(running))

    sleep = python("import time; time.sleep(.3)")
    Crawls([str(n) for n in range(5)], 2, lambda name: sleep, watch).run()
    assert max(seen) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_only_uploads_holds_no_place(jobs: int) -> None:
    """The next begin, as many as there are jobs; more wait until an upload has ended."""
    most: dict[int, int] = {}

    def watch(running: Sequence[str]) -> None:
        crawling = sum(not is_uploading(name) for name in running)
        most[crawling] = max(most.get(crawling, 0), len(running))

    began: dict[str, float] = {}

    def is_uploading(name: str) -> bool:
        return time.monotonic() - began[name] > 0.5

    def start(name: str) -> None:
        began[name] = time.monotonic()

    sleep = python("import time; time.sleep(2.5)")
    names = [str(number) for number in range(5)]
    crawls = Crawls(names, jobs, lambda _: sleep, watch, starts=start, uploads=is_uploading)
    assert crawls.run() == dict.fromkeys(names, 0)
    assert max(most.values()) == 2 * jobs
    assert max(most) <= jobs


def test_output_of_crawls_that_may_meet_is_told_apart(capfd: pytest.CaptureFixture[str]) -> None:
    crawls = Crawls(["a"], 1, lambda _: python("print('hello')"), uploads=lambda _: False)
    crawls.run()
    assert "[a] hello\n" in capfd.readouterr().err


def test_a_signal_reaches_who_is_being_started(tmp_path: Path) -> None:
    crawls = Crawls([], 1, lambda _: python("import time; time.sleep(600)"))
    crawls.stopped = True
    crawls._start("late")
    assert crawls._running["late"].wait(60) == -signal.SIGTERM


def test_signal_reaches_all_and_nobody_else_starts(tmp_path: Path) -> None:
    # A loop in bytecode: one in C hears nothing of a signal that comes between two of its sleeps.
    begun = (
        "import signal, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
        f"pathlib.Path({str(tmp_path)!r}, sys.argv[1]).touch()\n"
        "while True: time.sleep(0.05)\n"
    )
    crawls = Crawls(["a", "b", "c"], 2, lambda name: [*python(begun), name])

    def stop(running: Sequence[str]) -> None:
        if len(list(tmp_path.iterdir())) == 2 and not crawls.stopped:
            os.kill(os.getpid(), signal.SIGTERM)

    crawls.watch = stop
    before = signal.getsignal(signal.SIGTERM)
    assert crawls.run() == {"a": 4, "b": 4}
    assert signal.getsignal(signal.SIGTERM) == before
    assert threading.active_count() < 10
