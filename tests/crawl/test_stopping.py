"""Signals: the first one asks, the second one ends, and a watchdog ends what hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mapillary_crawler.crawl.stopping import Stopping

#: A program that says `ready`, then does what is given; `stop` is what the first signal calls.
PROGRAM = """
import threading, time
from mapillary_crawler.crawl import stopping
from mapillary_crawler.crawl.stopping import Stopping, end_now
stopping._PATIENCE = {patience}
stopped = threading.Event()
def stop():
    print("asked", flush=True)
    stopped.set()
handling = Stopping(stop)
handling.install()
{work}
"""
# Waiting is in short pieces: Python misses a signal that comes in the instant before it blocks.
WAIT = "print('ready', flush=True)\nwhile not stopped.wait(0.05): pass\n"
BLOCKED_THREAD = """
threading.Thread(target=time.sleep, args=(600,)).start()
print('ready', flush=True)
while not stopped.wait(0.05):
    pass
print("joining", flush=True)
"""
BUSY = """
print('ready', flush=True)
while True:
    sum(range(1000))
"""
DEAF = """
print('ready', flush=True)
while True:
    try:
        time.sleep(0.05)
    except BaseException:
        pass
"""
WORKS = [BLOCKED_THREAD, BUSY, DEAF]
FORWARDED = """
first = threading.Event()
handling.forward_to(first.set)
print('ready', flush=True)
while not first.wait(0.05):
    pass
print(handling.requested, stopped.is_set(), flush=True)
"""
#: Its last module is still there when Python has given all signals back.
ENDING = """
import sys
class Late:
    def __del__(self, print=print, sleep=time.sleep):
        print('ready', flush=True)
        sleep(1)
sys.modules['late'] = Late()
raise SystemExit(3)
"""


@contextmanager
def running(work: str, *, patience: float = 600) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends; it is ready when the block begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work, patience=patience)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for its end; return its exit code, and what it has said since it was ready."""
    code = process.wait(60)
    assert process.stdout is not None
    # `communicate` would lose what came with the line before, and is buffered since.
    return code, process.stdout.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks(number: signal.Signals) -> None:
    with running(WAIT + "raise SystemExit(7)") as process:
        process.send_signal(number)
        assert ended(process) == (7, "asked\n")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", WORKS, ids=["blocked thread", "busy", "deaf"])
def test_the_second_one_ends_it_at_once(
    first: signal.Signals, second: signal.Signals, work: str
) -> None:
    with running(work) as process:
        process.send_signal(first)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        # One that comes in the instant before it blocks in a join is missed, too.
        while process.poll() is None:
            process.send_signal(second)
            time.sleep(0.1)
        code, output = ended(process)
    assert code == 4
    assert "asked" not in output


@pytest.mark.parametrize("work", WORKS, ids=["blocked thread", "busy", "deaf"])
def test_the_watchdog_ends_what_hangs(work: str) -> None:
    with running(work, patience=0.3) as process:
        process.send_signal(signal.SIGTERM)
        code, output = ended(process)
    assert code == 4
    assert output.startswith("asked\n")
    assert ("joining" in output) is (work is BLOCKED_THREAD)


@pytest.mark.parametrize("work", WORKS, ids=["blocked thread", "busy", "deaf"])
def test_the_watchdog_says_the_last_words(work: str) -> None:
    words = "handling.last_words = lambda: print('last words', flush=True)\n"
    with running(words + work, patience=0.3) as process:
        process.send_signal(signal.SIGTERM)
        code, output = ended(process)
    assert code == 4
    assert output.endswith("last words\n")


@pytest.mark.parametrize(
    "words", ["time.sleep(600)", "print('begun', flush=True) or 1 / 0"], ids=["hang", "fail"]
)
def test_last_words_hold_nobody_back(words: str) -> None:
    with running(f"handling.last_words = lambda: {words}\n{BUSY}", patience=0.3) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 4


def test_the_watchdog_waits_for_nobody_who_is_done() -> None:
    with running(WAIT) as process:
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "asked\n")


def test_another_function_can_be_asked_from_then_on() -> None:
    with running(FORWARDED) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, "True False\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_python_ends_changes_nothing(number: signal.Signals) -> None:
    with running(ENDING) as process:
        process.send_signal(number)
        assert ended(process) == (3, "")


def test_a_hangup_that_comes_twice_asks_once() -> None:
    twice = "import os, signal\n" + "os.kill(os.getpid(), signal.SIGHUP)\n" * 2
    with running(f"print('ready', flush=True)\n{twice}raise SystemExit(7)") as process:
        assert ended(process) == (7, "asked\n")


def test_a_hangup_that_is_ignored_stays_so() -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    program = ignored + PROGRAM.format(
        work="import os; os.kill(os.getpid(), signal.SIGHUP)", patience=600
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_without_a_signal_nothing_happens() -> None:
    with running("print('ready', flush=True)\nraise SystemExit(3)") as process:
        assert ended(process) == (3, "")


def test_nothing_is_installed_before_it_is_asked_for() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stopping = Stopping(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not stopping.requested


OVER = """
handling.hand_over(lambda: print("ended", flush=True))
print('ready', flush=True)
until = time.monotonic() + 60
while time.monotonic() < until and not handling.requested: time.sleep(0.05)
print("requested", flush=True)
time.sleep({longer_than_patience})
raise SystemExit(0)
"""


def test_once_a_run_is_over_nothing_hurries_and_the_second_signal_ends_what_goes_on() -> None:
    with running(OVER.format(longer_than_patience=1.5), patience=0.2) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "requested\n"
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "ended\n")


def test_the_watchdog_of_a_signal_that_came_before_is_taken_away() -> None:
    work = (
        "print('ready', flush=True)\nwhile not stopped.wait(0.05): pass\n"
        "handling.hand_over(print)\ntime.sleep(1.5)\nraise SystemExit(0)"
    )
    with running(work, patience=0.7) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, "asked\n")
