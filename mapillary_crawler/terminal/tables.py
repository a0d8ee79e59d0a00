"""Tables: with rich on a terminal, plain and aligned anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text


@dataclass
class Table:
    """Rows of texts below headings; columns of numbers are to the right."""

    headings: Sequence[str]
    numbers: frozenset[str] = frozenset()
    rows: list[Sequence[str]] = field(default_factory=list)

    def print(self) -> None:
        """Print to standard output, as suits it."""
        if sys.stdout.isatty():
            Console(file=sys.stdout, highlight=False).print(self._rich())
        else:
            sys.stdout.write("".join(f"{line}\n" for line in self.lines()))
        sys.stdout.flush()

    def lines(self) -> list[str]:
        """Return the table as plain lines, two spaces between columns."""
        cells = [self.headings, *self.rows]
        widths = [max(cell_len(row[at]) for row in cells) for at in range(len(self.headings))]
        return ["  ".join(self._padded(row, widths)).rstrip() for row in cells]

    def _padded(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            " " * (width - cell_len(cell)) + cell
            if heading in self.numbers
            else set_cell_size(cell, width)
            for heading, cell, width in zip(self.headings, row, widths, strict=True)
        ]

    def _rich(self) -> RichTable:
        table = RichTable(box=SIMPLE_HEAD, pad_edge=False)
        for heading in self.headings:
            number = heading in self.numbers
            table.add_column(
                heading, justify="right" if number else "left", no_wrap=number, overflow="fold"
            )
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table
