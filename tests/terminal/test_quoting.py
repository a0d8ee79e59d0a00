"""What others said and names, fit for logs: printable, on one line, without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.terminal.quoting import brief, one_line, printable

TOKEN = "MLY|12345678901234567|0123456789abcdef0123456789abcdef"  # no real one


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("URL signature expired", "URL signature expired"),
        ("  a\r\n\tb  c ", "a b c"),
        ("\x1b[31mred\x00\ud800\u202e", "\ufffd[31mred\ufffd\ufffd\ufffd"),
        (f"token {TOKEN} refused", "token … refused"),
        (f"token {TOKEN.replace('|', '%7C')}.", "token …"),
        ("x?access_token=EAAB&y", "x…"),
        ("at access_token=EAAB now", "at … now"),
        ("Authorization: OAuth EAAB12", "Authorization: OAuth …"),
        ("Invalid OAuth access token", "Invalid OAuth access token"),
        ("https://x.example.org/a?stp=s1024&oh=00_Af&oe=1F is", "https://x.example.org/a… is"),
        ("really? yes=no", "really? yes=no"),
        ("Ünî cødé 日本", "Ünî cødé 日本"),
    ],
)  # fmt: skip
def test_lines(said: str, line: str) -> None:
    assert one_line(said, 100) == line


@given(st.text(st.characters(exclude_categories=())), st.integers(0, 50))
def test_every_line_can_be_printed_and_is_short(said: str, longest: int) -> None:
    line = one_line(said, longest)
    assert len(line) <= longest
    assert line.isprintable()
    assert line.encode().decode() == line


@given(st.text("ab |\n%7C?=&"), st.integers(0, 200))
def test_a_token_is_never_cut_into_view(before: str, longest: int) -> None:
    assert "0123456789" not in one_line(f"{before} {TOKEN}", longest)


def test_a_name_is_shown_with_what_a_terminal_would_obey_escaped() -> None:
    assert printable("Zoë \x1b[31m\n\udcff") == r"Zoë \x1b[31m\n\udcff"


@given(st.text(st.characters(exclude_categories=())))
def test_every_name_can_be_printed(name: str) -> None:
    assert printable(name).isprintable()
    assert printable(name).encode().decode() == printable(name)


def test_what_others_call_something_is_brief_and_says_that_it_is() -> None:
    assert brief("host-1") == "host-1"
    assert brief("h" * 100) == "h" * 100
    assert brief("h" * 10**6) == "h" * 99 + "…"
    assert brief("a\x1b[2J\u202eb\nc\x9b") == "a\\x1b[2J\\u202eb\\nc\\x9b"
    assert brief("word " * 9, 10) == "word word…"
