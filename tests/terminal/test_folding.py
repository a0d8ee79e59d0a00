"""Lines at a terminal: folded between words, never within one."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mapillary_crawler.terminal.folding import Folding, cells, folded


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("short", "short"),
        (
            "mapillary-alice-256: complete: listed 60 = saved 60",
            "mapillary-alice-256:\n  complete: listed 60\n  = saved 60",
        ),
        ("  disk   7.5 MB needed, 76 GB", "  disk   7.5 MB\n         needed, 76 GB"),
        ("13:47:29 sealing day 1 of 3", "13:47:29 sealing day 1\n         of 3"),
        ("日本の写真家 さん さんさん さん", "日本の写真家 さん\n  さんさん さん"),
        ("to /a/path/wider/than/all/columns it went",
         "to\n/a/path/wider/than/all/columns\n  it went"),
        ("do: scrapy crawl user -a username=a", "do: scrapy crawl \\\n  user -a username=a"),
        ("what to do: scrapy crawl user", "what to do: scrapy \\\n  crawl user"),
        ("\r\x1b[2Kdo: scrapy crawl user -a username=a",
         "\r\x1b[2Kdo: scrapy crawl \\\n  user -a username=a"),
        ("\x1b[33mthis is coloured\x1b[0m", "\x1b[33mthis is coloured\x1b[0m"),
    ],
)  # fmt: skip
def test_folded_at_22(line: str, found: str) -> None:
    assert folded(line, 22) == found


WORDS = st.lists(st.text("ab1日🗾é-", min_size=1, max_size=30), min_size=1, max_size=12)


@given(WORDS, st.integers(20, 90), st.sampled_from(["", "  ", "  label     "]))
def test_words_stay_whole_and_rows_fit(words: list[str], columns: int, begin: str) -> None:
    found = folded(begin + " ".join(words), columns)
    assert found.split() == [*begin.split(), *words]
    for row in found.split("\n"):
        assert cell_len(row) <= columns or len(row.split()) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "22")
    return Terminal()


def test_pieces_of_a_line_are_one(terminal: Terminal) -> None:
    print("twelve cells", "and", "more of them", file=Folding(terminal))  # type: ignore[arg-type]
    print("next", file=terminal)
    assert terminal.getvalue() == "twelve cells and more\n  of them\nnext\n"


def test_a_row_that_is_drawn_anew_begins_at_its_start(terminal: Terminal) -> None:
    stream = Folding(terminal)  # type: ignore[arg-type]
    for number in range(3):
        stream.write(f"\r\x1b[2Kall of 22 cells here {number}")
    assert "\n" not in terminal.getvalue()
    assert cells(terminal.getvalue()) == 22
