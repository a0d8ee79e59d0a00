"""What `scrapy queue` shows of what others have written into it."""

from __future__ import annotations

import argparse
import re

import pytest

from mapillary_crawler.commands.queue import Command as Queue
from mapillary_crawler.commands.queue import _show
from mapillary_crawler.commands.worker import Command as Worker
from mapillary_crawler.workers.attendance import WorkerOfQueue
from mapillary_crawler.workers.overview import Overview, RefusedTask, UserInQueue
from tests.crawling import PROJECT

#: It clears a terminal, turns its text around, and has no end.
HOSTILE = "\x1b[2J\u202e\x9b1A\r\n" + "long" * 10**6


def test_names_and_reasons_of_others_do_nothing_to_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Overview(halted=HOSTILE)
    found.users["a"] = UserInQueue(
        HOSTILE, f"mapillary-{HOSTILE}", "running", machine=HOSTILE, waits_for_version=HOSTILE,
        waits_for_machine=HOSTILE,
    )  # fmt: skip
    found.workers.append(WorkerOfQueue(HOSTILE, "1", 2, f"paused: {HOSTILE}", 0.0))
    found.refused.append(RefusedTask(7, HOSTILE))
    _show(found, argparse.Namespace(json=False))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    assert all("\\x1b[2J\\u202e" in lines[place] for place in (0, 2, 3, 4, 5, 6))


def test_since_when_nothing_was_heard_is_told_of_workers_that_are_gone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = ("working", "ended", "lost")
    workers = [WorkerOfQueue("m", "1", 2, state, 0.0, seconds_unseen=300) for state in states]
    _show(Overview(workers=workers), argparse.Namespace(json=False))
    assert capsys.readouterr().out.splitlines()[:3] == [
        "m: 2 at once, working",
        "m: 2 at once, ended, last seen 5 min ago",
        "m: 2 at once, lost, last seen 5 min ago",
    ]


def test_what_to_do_is_said_once_for_all_who_wait_for_a_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lines(**machines: str) -> list[str]:
        found = Overview()
        for name, machine in machines.items():
            found.users[name] = UserInQueue(name, name, "waiting", waits_for_machine=machine)
        _show(found, argparse.Namespace(json=False))
        return capsys.readouterr().out.splitlines()[1 + len(machines) : -1]

    begin = r"m has no worker now, and %s for it: start one there, or let any other machine begin "
    (one,) = lines(alice="m")
    assert re.fullmatch(begin % "alice waits" + "anew: .* queue retry alice", one)
    (several,) = lines(alice="m", bob="m")
    assert re.fullmatch(begin % "2 users wait" + "anew: .* queue retry USER", several)
    assert len(lines(alice="m", bob="n")) == 2


def test_how_much_is_left_is_a_dash_until_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = Overview()
    for name, left in (("a", None), ("b", 0), ("c", 1234)):
        found.users[name] = UserInQueue(name, name, "running", left=left)
    _show(found, argparse.Namespace(json=False))
    heading, *rows = (line.split() for line in capsys.readouterr().out.splitlines()[:4])
    assert [row[heading.index("left")] for row in rows] == ["-", "0", "1,234"]


@pytest.mark.parametrize(
    "shown",
    [UserInQueue("a", "a", "later"), WorkerOfQueue("m", "1", 2, "idle", 0.0), RefusedTask(1, "r")],
)
def test_each_field_of_json_is_documented(shown: UserInQueue | WorkerOfQueue | RefusedTask) -> None:
    fields = shown.fields()
    kind = fields.pop("kind")
    section = (PROJECT / "docs/scale.md").read_text().partition("### What `scrapy queue` shows")[2]
    (row,) = (line for line in section.splitlines() if line.startswith(f"| `{kind}`"))
    assert set(re.findall("`([a-z_]+)`", row)) - {kind, "null"} == set(fields)


def test_what_the_help_says_of_states_fits_into_a_terminal() -> None:
    """A line that is kept as it is, and is too wide, has its last words on one of their own."""
    listed = Queue.epilog.partition("States")[2].partition("Exit codes")[0]
    assert max(map(len, listed.splitlines())) < 79


def test_a_worker_quotes_tasks_of_strangers_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Worker().say(f"task 7 is refused: {HOSTILE}")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "task 7 is refused: \\x1b[2J" in line
    assert len(line) < 1200
