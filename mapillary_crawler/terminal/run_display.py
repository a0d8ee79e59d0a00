"""The live display of a run on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Self

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from scrapy.settings import BaseSettings

from mapillary_crawler.terminal.live_lines import LiveTerminal, can_be_live
from mapillary_crawler.terminal.progress import Phase, Report
from mapillary_crawler.terminal.terminal_log import TerminalHandler, is_quiet, terminal_handler

#: Columns of the bar; the other lines are hardly longer.
_BAR = 64


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
        rows = Table.grid()
        rows.add_column(no_wrap=True)
        rows.add_row(Text(f"{report.heading()}, {report.title or report.name}", style="bold"))
        if report.snapshot.phase is not Phase.LISTING:
            snapshot = report.snapshot
            rows.add_row(ProgressBar(snapshot.balance.listed, snapshot.done, width=_BAR))
        rows.add_row(" · ".join(report.amounts()))
        rows.add_row(" · ".join(report.others()))
        self._lines.show(rows)

    def close(self) -> None:
        """Take the lines away and give the terminal back."""
        if self._handler:
            self._handler.removeFilter(self._is_news)
            self._handler.setStream(self._stream)
        self._terminal.__exit__()
