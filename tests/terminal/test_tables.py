"""Tables for people and for pipes."""

from __future__ import annotations

import io
import re

import pytest

from mapillary_crawler.terminal.tables import Table


def table() -> Table:
    found = Table(("user", "images", "state"), frozenset({"images"}))
    found.rows += [("alice", "1,000", "complete"), ("Ünî 日本", "7", "[red]odd"), ("b", "-", "")]
    return found


def test_plain_lines_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table().print()
    assert capsys.readouterr().out.splitlines() == [
        "user      images  state",
        "alice      1,000  complete",
        "Ünî 日本       7  [red]odd",
        "b              -",
    ]


def test_plain_lines_are_as_long_as_they_must_be() -> None:
    long = "x" * 3000
    found = Table(("a", "b"), frozenset({"b"}), [(long, "1"), ("🗾", "22")], headed=False)
    assert found.lines() == [f"{long}   1", f"🗾{' ' * 2998}  22"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", ["30", "80"])
def test_terminal_gets_everything_at_any_width(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    table().print()
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    for cell in ("alice", "1,000", "complete", "[red]odd"):
        assert cell in text
    assert max(map(len, text.splitlines())) <= int(columns)
