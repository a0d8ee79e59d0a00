"""Live lines on an imitated terminal that wraps, scrolls and reflows as real ones do."""

from __future__ import annotations

import io
import os
import re
import sys

import pytest
from rich.text import Text

from mapillary_crawler.terminal import live_lines
from mapillary_crawler.terminal.live_lines import LiveLines, LiveTerminal, can_be_live


class Terminal(io.StringIO):
    """Keeps what its screen would show; knows no more than LiveLines may write."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.rows = [""]
        self.row = 0

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[1A|\x1b\[2K|\r|\n|[^\x1b\r\n]+", text):
            match part:
                case "\x1b[1A":
                    self.row = max(0, self.row - 1)
                case "\x1b[2K":
                    self.rows[self.row] = ""
                case "\r":
                    pass
                case "\n":
                    self.row += 1
                    self.rows += [""] * (self.row + 1 - len(self.rows))
                case _:
                    self._type(part)
        return len(text)

    def _type(self, text: str) -> None:
        assert self.rows[self.row] == "", "written over something"
        while len(text) > self.columns:
            self.rows[self.row :] = [text[: self.columns], ""]
            text, self.row = text[self.columns :], self.row + 1
        self.rows[self.row] = text

    def resize(self, columns: int) -> None:
        """Wrap the rows anew; rows that ended in a newline stay apart."""
        self.columns = columns
        rows, self.rows, self.row = self.rows, [""], 0
        for row in rows[:-1]:
            self.write(row + "\n")

    @property
    def screen(self) -> list[str]:
        return [row for row in self.rows if row]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal(40)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(live_lines, "columns_of", lambda stream: terminal.columns)
    return terminal


def test_log_lines_go_above(terminal: Terminal) -> None:
    live = LiveLines(terminal)
    live.write("first\n")
    live.show(Text("10 done\n2 failed"))
    live.write("second\n")
    live.write("third\nfourth\n")
    live.show(Text("11 done\n2 failed"))
    assert terminal.screen == ["first", "second", "third", "fourth", "11 done", "2 failed"]
    live.close()
    assert terminal.screen == ["first", "second", "third", "fourth"]
    live.close()


def test_half_a_line_waits_for_its_end(terminal: Terminal) -> None:
    live = LiveLines(terminal)
    live.show(Text("10 done"))
    live.write("half")
    assert terminal.screen == ["10 done"]
    live.write(" and whole\nrest")
    assert terminal.screen == ["half and whole", "10 done"]
    live.close()
    assert terminal.screen == ["half and whole", "rest"]


def test_long_lines_are_cut(terminal: Terminal) -> None:
    live = LiveLines(terminal)
    live.show(Text("x" * 100 + "\n" + "y" * 100))
    assert [len(row) for row in terminal.screen] == [39, 39]


@pytest.mark.parametrize("columns", [20, 39, 38, 13, 80])
def test_resize_leaves_nothing_behind(terminal: Terminal, columns: int) -> None:
    live = LiveLines(terminal)
    live.write("a log line that stays as it is\n")
    live.show(Text("x" * 100 + "\nshort\n" + "y" * 30))
    terminal.resize(columns)
    live.show(Text("x" * 100 + "\nshort\n" + "y" * 30))
    live.write("another\n")
    text = "".join(terminal.screen)
    assert text.startswith("a log line that stays as it isanother")
    assert text.count("short") == 1
    live.close()
    assert "".join(terminal.screen) == "a log line that stays as it isanother"


def test_lines_of_the_shell_are_not_taken_back(terminal: Terminal) -> None:
    live = LiveLines(terminal)
    live.show(Text("10 done"))
    terminal.write("[1]+ Stopped\n$ fg\n")
    live.forget()
    live.show(Text("11 done"))
    live.show(Text("12 done"))
    assert terminal.screen == ["10 done", "[1]+ Stopped", "$ fg", "12 done"]


def test_other_program_in_the_foreground(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveLines(terminal)
    live.show(Text("10 done"))
    monkeypatch.setattr(live, "_in_foreground", lambda: False)
    live.show(Text("11 done"))
    live.write("a line\n")
    assert terminal.screen == ["a line"]


@pytest.mark.parametrize("output", [Terminal(80), io.StringIO()])
def test_streams_are_given_back(monkeypatch: pytest.MonkeyPatch, output: io.StringIO) -> None:
    errors = Terminal(80)
    monkeypatch.setattr("sys.stderr", errors)
    monkeypatch.setattr("sys.stdout", output)
    with LiveTerminal() as lines:
        assert sys.stderr is lines
        assert (sys.stdout is lines) is output.isatty()
    assert (sys.stdout, sys.stderr) == (output, errors)


@pytest.mark.parametrize(("name", "live"), [("xterm-256color", True), ("dumb", False), ("", False)])
def test_terminal_must_move_its_cursor(
    name: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TERM", name or "unknown")
    assert can_be_live(Terminal(80)) is live
    assert not can_be_live(io.StringIO())
