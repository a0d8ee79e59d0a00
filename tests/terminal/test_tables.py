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


def shown(columns: int, *names: str) -> list[str]:
    found = Table(
        ("collection", "state", "listed", "size", "active"),
        frozenset({"listed", "size"}),
        [(name, "archived", "1,000", "22.6 MB", "just now") for name in names],
        spare=("active", "size"),
    )
    return found.lines(columns)


def test_a_narrow_table_says_less_before_names_go_on_lines_of_their_own() -> None:
    assert shown(47, "alice-256")[1] == "alice-256   archived   1,000  22.6 MB  just now"
    assert shown(46, "alice-256")[1] == "alice-256   archived   1,000  22.6 MB"
    assert shown(30, "alice-256")[1] == "alice-256   archived   1,000"
    assert shown(30, "alice-original", "bob-256")[1:] == [
        "alice-original",
        "            archived   1,000",
        "bob-256     archived   1,000",
    ]


def test_one_long_name_takes_no_column_from_the_others() -> None:
    long = "x" * 60
    assert shown(60, long, "a-256", "b-256")[1:] == [
        long,
        "            archived   1,000  22.6 MB  just now",
        "a-256       archived   1,000  22.6 MB  just now",
        "b-256       archived   1,000  22.6 MB  just now",
    ]


def test_one_longer_name_takes_no_column_where_less_would_make_room() -> None:
    assert shown(60, "x" * 30, "a-256", "b-256")[0].endswith("active")


def test_texts_go_on_between_words() -> None:
    found = Table(("part", "found"))
    found.rows = [("encoder", "there is none of them"), ("", "→ install one of these two")]
    assert found.lines(30) == [
        "part     found",
        "encoder  there is none of them",
        "         → install one of",
        "           these two",
    ]


@pytest.mark.parametrize("columns", range(12, 60))
def test_no_word_is_broken_at_any_width(columns: int) -> None:
    words = {word for line in table().lines() for word in line.split()}
    assert {word for line in table().lines(columns) for word in line.split()} <= words


def test_a_heading_that_is_too_long_is_as_a_name_that_is() -> None:
    found = Table(("outside of mapillary-images", "items"), frozenset({"items"}), [("ann@x", "1")])
    assert found.lines(30) == [
        "outside of mapillary-images",
        "       items",
        "ann@x      1",
    ]
