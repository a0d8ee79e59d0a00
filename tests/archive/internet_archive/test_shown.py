"""What an upload shows: lines where nobody watches, bars at a terminal."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from mapillary_crawler.terminal import work_display as progress
from mapillary_crawler.terminal.work_display import Bars, Lines, work_display


def upload(shown, files):
    with shown:
        shown.begin("uploading", len(files), sum(size for _, size in files))
        for name, size in files:
            shown.begin_file(name, size)
            shown.advance(size // 2)
            shown.begin_file(name, size)  # sent again from its start
            shown.advance(size)
            shown.end_file()
        shown.say("done [not markup]")


def test_lines(capsys):
    upload(Lines(), [("a.tar", 3_000_000), ("b", 10)])
    assert capsys.readouterr().out.splitlines() == [
        "uploading 1/2 a.tar 3.0 MB (3.0 MB of 3.0 MB)",
        "uploading 2/2 b 10 B (3.0 MB of 3.0 MB)",
        "done [not markup]",
    ]


def test_large_files_are_told_of_in_between(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines = Lines()
    lines.begin("uploading", 1, 10**10)
    lines.begin_file("a.tar", 10**10)
    for _ in range(25):
        now += 10
        lines.advance(10**8)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "uploading a.tar: 600.0 MB of 10.0 GB"
    assert len(told) == 4


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_is_left_clean(width, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, highlight=False)
    monkeypatch.setattr("sys.stdout", Screen())
    upload(Bars(console), [("2024-01-15.tar", 3_000_000), ("SHA256SUMS", 10)])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "done [not markup]" in text
    assert "uploading 2/2" in text
    assert screen.getvalue().endswith("\x1b[2K"), "the bars are wiped"
    assert max(len(line) for line in text.replace("\r", "\n").splitlines()) <= width


def test_the_total_is_what_was_sent_whatever_was_repeated():
    terminal = Bars(Console(file=io.StringIO(), force_terminal=True, width=80))
    upload(terminal, [("a", 100), ("b", 50)])
    total = next(task for task in terminal._bars.tasks if task.description.startswith("uploading"))
    assert (total.completed, total.total) == (150, 150)


def test_bars_are_on_standard_error_and_what_stays_on_standard_output(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Screen())
    shown = work_display(Lines)
    upload(shown, [("a", 100)])
    assert capsys.readouterr().out == "done [not markup]\n"
    assert "uploading a" in sys.stderr.getvalue()
    monkeypatch.setenv("TERM", "dumb")
    assert type(work_display(Lines)) is Lines
