"""The live display of a run on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Self

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from scrapy.settings import BaseSettings

from mapillary_crawler.terminal.live_lines import LiveTerminal, can_be_live
from mapillary_crawler.terminal.progress import Phase, Report
from mapillary_crawler.terminal.terminal_log import TerminalHandler, is_quiet, terminal_handler

#: Columns of the bar; the other lines are hardly longer.
_BAR = 64


class Parts:
    """What is said on one row: as many of its parts as there is room for."""

    def __init__(self, parts: Sequence[str], between: str = " · ", style: str = "") -> None:
        self._parts = parts
        self._between = between
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Leave away from the end what does not fit."""
        shown = list(self._parts)
        while len(shown) > 1 and cell_len(self._between.join(shown)) > options.max_width:
            shown.pop()
        yield Text(self._between.join(shown), self._style, no_wrap=True, overflow="ellipsis")


class ProgressDisplay:
    """Four lines below what else is said; `close` takes them away.

    While they are there, `handler`, which writes to the terminal, passes over what the logger
    `logger` says: the same, in words.
    """

    def __init__(self, handler: TerminalHandler | None, logger: str) -> None:
        self._handler = handler
        self._is_news: Callable[[logging.LogRecord], bool] = lambda record: record.name != logger
        self._stream = sys.stderr
        self._terminal = LiveTerminal()
        self._lines = self._terminal.__enter__()
        if handler:
            handler.setStream(self._lines)
            handler.addFilter(self._is_news)

    @classmethod
    def on_terminal(cls, settings: BaseSettings, logger: str) -> Self | None:
        """Return a display at a terminal, unless the log goes to a file or nothing is wanted."""
        if settings["LOG_FILE"] or is_quiet(settings) or not can_be_live(sys.stderr):
            return None
        return cls(terminal_handler(), logger)

    def show(self, report: Report) -> None:
        """Draw the lines anew."""
        name = report.title or report.name
        rows: list[RenderableType] = [Parts([*report.headings(), name], ", ", "bold")]
        if report.snapshot.phase is not Phase.LISTING:
            snapshot = report.snapshot
            bar = Table.grid()  # a bar alone does not end its row
            bar.add_row(ProgressBar(snapshot.balance.listed, snapshot.done, width=_BAR))
            rows.append(bar)
        rows += [Parts(report.amounts()), Parts(report.others())]
        self._lines.show(Group(*rows))

    def close(self) -> None:
        """Take the lines away and give the terminal back."""
        if self._handler:
            self._handler.removeFilter(self._is_news)
            self._handler.setStream(self._stream)
        self._terminal.__exit__()
