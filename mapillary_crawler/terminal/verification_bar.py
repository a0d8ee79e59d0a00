"""The live display of a verification on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.live_lines import LiveLines, LiveTerminal, can_be_live

#: Columns of the bar, and seconds between two drawings.
_BAR, _PAUSE = 64, 0.25


class VerificationBar:
    """Shows how many bytes were read of all that are to be; without lines it shows nothing."""

    def __init__(self, name: str, total: int, lines: LiveLines | None = None) -> None:
        self._name = name
        self._total = total
        self._lines = lines
        self._read = 0
        self._began = time.monotonic()
        self._drawn = 0.0

    @classmethod
    @contextmanager
    def shown(cls, name: str, total: int) -> Iterator[Self]:
        """Show a bar while the context lasts, where standard error is a terminal."""
        if not (total and can_be_live(sys.stderr)):
            yield cls(name, total)
            return
        with LiveTerminal() as lines:
            yield cls(name, total, lines)

    def advance(self, count: int) -> None:
        """Note that so many bytes were read."""
        self._read += count
        now = time.monotonic()
        if self._lines and now - self._drawn >= _PAUSE:
            self._drawn = now
            self._lines.show(self._content(now - self._began))

    def _content(self, passed: float) -> Table:
        rows = Table.grid()
        rows.add_column(no_wrap=True)
        speed = self._read / passed if passed > 0 else 0.0
        left = (self._total - self._read) / speed if speed else 0.0
        part = 100 * self._read // self._total
        heading = f"verifying, {part} %, {quantities.duration(left)} left, {self._name}"
        rows.add_row(Text(heading, style="bold"))
        rows.add_row(ProgressBar(self._total, self._read, width=_BAR))
        amounts = (quantities.size(self._read), quantities.size(self._total))
        rows.add_row(f"{' of '.join(amounts)} · {quantities.size(speed)}/s")
        return rows
