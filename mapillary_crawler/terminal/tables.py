"""Tables: as wide as a terminal at most, and plain and aligned anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from mapillary_crawler.terminal.folding import cells, columns_of, rows

#: Columns of what is not a terminal: nothing is folded there.
_WIDE = 1_000_000
_GAP = 2
#: Cells that a column of texts is given before others are left away for it.
_READABLE = 20
#: Cells of a column of names at least; with a heading, that is the least.
_SHORTEST = 8


def columns_of_output() -> int:
    """Return how wide a line of standard output may be."""
    return columns_of(sys.stdout) if sys.stdout.isatty() else _WIDE


@dataclass
class Table:
    """Rows of texts below headings; columns of numbers are to the right.

    Where a terminal is too narrow, the columns `spare` are left away, in their order; then texts go
    on in further rows, between words; and last a name, which is what the first column has, stands
    on a line of its own, above what there is to say of it.
    """

    headings: Sequence[str]
    numbers: frozenset[str] = frozenset()
    rows: list[Sequence[str]] = field(default_factory=list)
    #: Whether the headings are shown, or only name the columns.
    headed: bool = True
    spare: Sequence[str] = ()
    #: With what every name may begin, and a terminal need not be told.
    prefix: str = ""

    def print(self) -> None:
        """Print to standard output, as suits it."""
        if sys.stdout.isatty():
            self._draw(Console(file=sys.stdout, highlight=False))
        else:
            sys.stdout.write("".join(f"{line}\n" for line in self.lines()))
        sys.stdout.flush()

    def lines(self, columns: int = _WIDE) -> list[str]:
        """Return the table as plain lines, two spaces between columns."""
        layout = _Layout(self, self.rows, columns)
        return [*layout.heading(), *layout.lines()]

    def _draw(self, console: Console) -> None:
        shown = [[row[0].removeprefix(self.prefix), *row[1:]] for row in self.rows]
        layout = _Layout(self, shown, columns_of(sys.stdout))
        for line in layout.heading():
            console.print(Text(line, style="bold"), soft_wrap=True)
        if self.headed:
            console.print(Text("─" * layout.width, style="dim"), soft_wrap=True)
        for line in layout.lines():
            console.print(Text(line), soft_wrap=True)


class _Layout:
    """Which columns are shown, and how wide."""

    def __init__(self, table: Table, content: Sequence[Sequence[str]], columns: int) -> None:
        self._table = table
        self._rows = content
        self._columns = columns
        headings = [table.headings] if table.headed else []
        by_column = list(zip(*headings, *content, strict=True))
        self._natural = [max(map(cells, column)) for column in by_column]
        self._least = [
            self._natural[place] if not self._is_text(place) else self._readable(column)
            for place, column in enumerate(by_column)
        ]
        self._shown, self._widths = self._choose()

    @property
    def width(self) -> int:
        """Cells of the whole table."""
        return sum(self._widths.values()) + _GAP * (len(self._shown) - 1)

    def heading(self) -> Iterator[str]:
        """Yield the heading, if there is to be one."""
        if self._table.headed:
            yield from self._lines(self._table.headings)

    def lines(self) -> Iterator[str]:
        """Yield the rows."""
        for row in self._rows:
            yield from self._lines(row)

    def _is_text(self, place: int) -> bool:
        return place > 0 and self._table.headings[place] not in self._table.numbers

    def _readable(self, column: Sequence[str]) -> int:
        """Return the cells that a column of texts needs at least: no word of it is cut."""
        longest = max(cells(word) for text in column for word in [*text.split(), ""])
        return min(max(map(cells, column)), max(longest, _READABLE), self._columns // 2)

    def _choose(self) -> tuple[list[int], dict[int, int]]:
        """Return the columns that are shown, and their widths.

        Half of the names stand beside what is said of them, or else as many as do: one that is too
        long takes no column from the others.
        """
        heading = cells(self._table.headings[0]) if self._table.headed else _SHORTEST
        names = [cells(row[0]) for row in self._rows]
        choices = list(self._choices())
        for share, least in ((0.5, heading), (0.0, heading), (0.0, _SHORTEST)):
            for shown in choices:
                room = self._room_for_names(shown)
                beside = sum(name <= room for name in names)
                if room >= min(least, self._natural[0]) and beside >= share * len(names):
                    return shown, self._fitted(shown, room)
        return choices[-1], self._fitted(choices[-1], _SHORTEST)

    def _choices(self) -> Iterator[list[int]]:
        """Yield the columns that may be shown, from all to the fewest."""
        shown = list(range(len(self._table.headings)))
        yield shown
        for heading in self._table.spare:
            shown = [place for place in shown if self._table.headings[place] != heading]
            yield shown

    def _room_for_names(self, shown: Sequence[int]) -> int:
        others = sum(self._least[place] + _GAP for place in shown[1:])
        return self._columns - others

    def _fitted(self, shown: Sequence[int], room: int) -> dict[int, int]:
        """Return the width of each column; what is left over goes to texts."""
        widths = {place: self._least[place] for place in shown}
        widths[0] = min(room, self._natural[0])
        headings = [self._table.headings] if self._table.headed else []
        beside = [size for row in [*headings, *self._rows] if (size := cells(row[0])) <= widths[0]]
        widths[0] = max(beside, default=widths[0])
        over = self._columns - sum(widths.values()) - _GAP * (len(shown) - 1)
        for place in shown[1:]:
            wider = min(max(over, 0), self._natural[place] - widths[place])
            widths[place] += wider
            over -= wider
        return widths

    def _lines(self, row: Sequence[str]) -> Iterator[str]:
        """Yield a row, as many lines as its texts need; too long a name has one before it."""
        parts = [
            rows(row[place], self._widths[place], "  " if row[place].startswith("→ ") else "")
            for place in self._shown
        ]
        last = self._shown[-1]
        if cells(row[0]) > self._widths[0]:
            yield row[0]
            parts[0] = [""]
        elif cells(parts[-1][0]) > self._widths[last]:
            parts[-1].insert(0, "")
        for texts in zip_longest(*parts, fillvalue=""):
            line = (" " * _GAP).join(map(self._padded, self._shown, texts)).rstrip(" ")
            if cells(line) > self._columns:  # a word, a path say, wider than its column
                word = line.strip()
                line = f"  {word}" if cells(word) + 2 <= self._columns else word
            yield line

    def _padded(self, place: int, text: str) -> str:
        blanks = " " * (self._widths[place] - cells(text))
        is_number = self._table.headings[place] in self._table.numbers
        return blanks + text if is_number else text + blanks
