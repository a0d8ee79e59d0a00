"""Tables by rich: with lines and colours on a terminal, plain and aligned anywhere else."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

#: Columns of what is not a terminal: nothing is folded there.
_WIDE = 1_000_000


@dataclass
class Table:
    """Rows of texts below headings; columns of numbers are to the right."""

    headings: Sequence[str]
    numbers: frozenset[str] = frozenset()
    rows: list[Sequence[str]] = field(default_factory=list)
    #: Whether the headings are shown, or only name the columns.
    headed: bool = True

    def print(self) -> None:
        """Print to standard output, as suits it."""
        if sys.stdout.isatty():
            Console(file=sys.stdout, highlight=False).print(self._rich(SIMPLE_HEAD))
        else:
            sys.stdout.write("".join(f"{line}\n" for line in self.lines()))
        sys.stdout.flush()

    def lines(self) -> list[str]:
        """Return the table as plain lines, two spaces between columns."""
        drawn = io.StringIO()
        Console(file=drawn, width=_WIDE, color_system=None).print(self._rich(None))
        return [line.rstrip(" ") for line in drawn.getvalue().split("\n")[:-1]]

    def _rich(self, box: Box | None) -> RichTable:
        table = RichTable(box=box, pad_edge=False, show_header=self.headed)
        for heading in self.headings:
            number = heading in self.numbers
            table.add_column(
                Text(heading),
                justify="right" if number else "left",
                no_wrap=number or box is None,
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table
