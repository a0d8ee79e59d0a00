"""Whatever goes wrong in a command is one line and an exit code."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name


class Command(ProjectCommand):
    summary = about = "Do what a test wants"
    interrupted = "interrupted; run it again"

    def __init__(self, work: Callable[[], object], code: int = 0) -> None:
        super().__init__()
        self.work = work
        self.exitcode = code

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        self.work()


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> None:
        raise error

    return work


def full() -> sqlite3.Error:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def ended(work: Callable[[], object], *args: str, code: int = 0) -> int:
    with pytest.raises(SystemExit) as end:
        Command(work, code).run([*args], argparse.Namespace())
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ArgumentRefused("no such name"), 2, "no such name"),
        (Refused(Outcome.LOCKED, "another works on it"), 9, "another works on it"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "/x: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 6, "a b: No space left on device"),
        (OSError("cannot be"), 1, "a b: cannot be"),
        (sqlite3.DatabaseError("malformed"), 1, "a b: malformed"),
        (full(), 6, "a b: database or disk is full"),
        (KeyboardInterrupt(), 4, "interrupted; run it again"),
    ],
)
def test_error_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raising(error), "a", "b") == code
    assert capsys.readouterr().err == f"{program_name()} {Command(raising(error)).name}: {line}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_an_interruption(number: signal.Signals) -> None:
    assert ended(lambda: os.kill(os.getpid(), number)) == 4


def test_nohup_is_heeded() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Command(lambda: os.kill(os.getpid(), signal.SIGHUP)).run([], argparse.Namespace())


def test_who_has_a_handler_of_their_own_keeps_it() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    Command(lambda: os.kill(os.getpid(), signal.SIGTERM)).run([], argparse.Namespace())
    assert heard == [signal.SIGTERM]


def test_the_worst_of_what_went_wrong_decides_the_exit_code() -> None:
    assert ended(raising(Refused(Outcome.SERVICE_AWAY, "away")), code=3) == 7
    assert ended(raising(Refused(Outcome.SERVICE_AWAY, "away")), code=2) == 2


def test_fault_of_the_program_is_no_line() -> None:
    with pytest.raises(ZeroDivisionError):
        Command(lambda: 1 / 0).run([], argparse.Namespace())
