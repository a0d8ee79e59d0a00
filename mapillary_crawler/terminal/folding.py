"""Lines that fit a terminal: wider ones go on below their own beginning, between two words.

Widths are counted in a terminal's cells, of which a character of CJK or an emoji takes two.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from typing import Any, TextIO

from rich.cells import cell_len

from mapillary_crawler.terminal.program import program_name

#: Below this many columns nothing is readable, whatever is done to it.
_LEAST = 20
#: What a shell reads at the end of a line of which there is more.
_GOES_ON = " \\"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: What the rows of a folded line stand below: a time, a label and two blanks, an item's mark.
_BEGINNING = re.compile(r"\d\d:\d\d:\d\d |\s*\S+(?: \S+)? {2,}|\s*(?:[-→·] )?")


def columns_of(stream: TextIO) -> int:
    """Return the columns of a terminal at this moment; 80 where it does not know them."""
    with suppress(OSError):
        if columns := os.get_terminal_size(stream.fileno()).columns:
            return columns
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) else 80


def cells(text: str) -> int:
    """Return the cells that a text takes in its row; control sequences take none."""
    return cell_len(_CONTROL.sub("", text.rpartition("\r")[2]))


def rows(
    line: str, columns: int, hanging: str = "", start: int = 0, command: int | None = None
) -> list[str]:
    """Return a line as rows of at most so many cells, the later ones behind `hanging`.

    The first has `start` cells already. A word that is wider than a row has one of its own, as it
    is: a terminal goes on with it in the next row, and gives it whole to whoever copies it. Behind
    the character `command` a row ends in what a shell goes on with.
    """
    found, width = [""], start
    for match in re.finditer(r"( *)([^ ]+)", line):
        gap, word = match.groups()
        size = cells(word)
        is_command = command is not None and match.start() > command
        mark = _GOES_ON if command is not None and match.end() > command else ""
        room = columns - (len(mark) if match.end() < len(line) else 0)
        if width + len(gap) + size <= room or (width == 0 and not found[-1]):
            found[-1] += gap + word
            width += len(gap) + size
        else:
            lead = hanging if len(hanging) + size <= room else ""
            found[-1] += _GOES_ON if is_command else ""
            found.append(lead + word)
            width = len(lead) + size
    return found


def folded(line: str, columns: int, start: int = 0) -> str:
    """Return a line, without its end, with line feeds in it where it is too wide."""
    if "\r" in line:
        start = 0
    if columns < _LEAST or start + cells(line) <= columns:
        return line
    plain = _CONTROL.sub("", line.rpartition("\r")[2])
    begins = _BEGINNING.match(plain)
    hanging = begins.end() if begins else 0
    if begins and not begins[0].strip():
        hanging += 2
    typed = re.search(rf"(?:^ +|: | {{2,}}){re.escape(program_name())} (?=\S)", plain)
    before = len(line) - len(plain)  # control sequences, where they all stand in front
    command = before + typed.end() - 2 if typed and line.endswith(plain) else None
    return "\n".join(rows(line, columns, " " * min(hanging, columns // 2), start, command))


class Folding(io.TextIOBase):
    """Stands in for a terminal's stream, and folds what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        #: Cells of the row that has not ended yet.
        self._width = 0

    def write(self, text: str) -> int:
        """Write, each line folded to the width that the terminal has now."""
        columns = columns_of(self.stream)
        *ended, last = text.split("\n")
        done = []
        for line in ended:
            done.append(folded(line, columns, self._width))
            self._width = 0
        done.append(folded(last, columns, self._width))
        shown = cells(done[-1].rpartition("\n")[2])
        self._width = shown if "\n" in done[-1] or "\r" in last else self._width + shown
        self.stream.write("\n".join(done))
        return len(text)

    def flush(self) -> None:
        """Flush the terminal."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Say that this is a terminal."""
        return True

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream does with what it cannot encode."""
        return self.stream.errors

    @property
    def buffer(self) -> Any:
        """The stream of bytes below, for what is no text."""
        return self.stream.buffer
