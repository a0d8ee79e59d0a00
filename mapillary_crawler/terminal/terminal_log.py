"""The log at a terminal: short lines, and no more of them than were asked for.

Files, pipes and the collection's own log have Scrapy's form, from LOG_LEVEL on, whatever is asked
for here.
"""

from __future__ import annotations

import argparse
import logging
import sys

from colorlog import ColoredFormatter
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings, Settings

from mapillary_crawler.terminal.live_lines import can_be_live

#: Whether nothing but the last line is wanted; set by a command, by nobody else.
_QUIET = "TERMINAL_QUIET"
#: Whether what is written comes to a terminal by way of a command that shows several crawls.
_RELAYED = "TERMINAL_RELAYED"
_NOTHING = logging.CRITICAL + 1
#: What a record has that the last line says again: a terminal is told once.
OF_THE_LAST_LINE = "of_the_last_line"
#: News is not coloured.
_COLOURS = {"DEBUG": "", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
#: Scrapy's counters: a page between the progress and the result.
_STATISTICS = "scrapy.statscollectors"


class TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes time and message; a level is named that is more than news."""

    def __init__(self, level: int) -> None:
        super().__init__(sys.stderr)
        self.setLevel(level)
        self.setFormatter(
            ColoredFormatter(
                "%(log_color)s%(asctime)s %(named_level)s%(message)s",
                "%H:%M:%S",
                log_colors=_COLOURS,
                stream=sys.stderr,
            )
        )

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass over statistics, but at DEBUG, and the last line's reason; name the level."""
        if record.name == _STATISTICS and self.level > logging.DEBUG:
            return False
        if hasattr(record, OF_THE_LAST_LINE):
            return False
        is_news = record.levelno <= logging.INFO
        record.named_level = "" if is_news else f"{record.levelname.lower()}: "
        return super().filter(record)


def set_up(settings: Settings, opts: argparse.Namespace) -> None:
    """Let a terminal have its own handler, instead of Scrapy's.

    It gets warnings; with -v, or where somebody has set LOG_LEVEL, all from that on; with -q
    nothing, nor does a pipe.
    """
    settings.set(_QUIET, opts.quiet, priority="cmdline")
    is_shown = can_be_live(sys.stderr) or settings.getbool(_RELAYED)
    is_scrapys = settings["LOG_FILE"] or not settings.getbool("LOG_ENABLED")
    if is_scrapys or not (is_shown or opts.quiet):
        return
    level = logging.getLevelNamesMapping()[settings["LOG_LEVEL"]]
    given = (settings.getpriority("LOG_LEVEL") or 0) > SETTINGS_PRIORITIES["project"]
    if opts.quiet:
        level = _NOTHING
    elif not (opts.verbose or given):
        level = max(level, logging.WARNING)
    settings.set("LOG_INSTALL_ROOT_HANDLER", value=False, priority="cmdline")
    logging.root.setLevel(logging.NOTSET)  # as Scrapy does with its own
    logging.root.addHandler(TerminalHandler(level))


def relayed() -> list[str]:
    """Return the options of a crawl whose output the caller shows on a terminal; none elsewhere."""
    return ["-s", f"{_RELAYED}=1"] if can_be_live(sys.stderr) else []


def is_quiet(settings: BaseSettings) -> bool:
    """Say whether nothing but the last line is wanted."""
    return settings.getbool(_QUIET)


def terminal_handler() -> TerminalHandler | None:
    """Return the handler that writes to the terminal, if there is one."""
    handlers = (each for each in logging.root.handlers if isinstance(each, TerminalHandler))
    return next(handlers, None)
