"""What Scrapy logs of requests and items: nothing with a signed URL in it."""

from __future__ import annotations

import logging
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.logformatter import LogFormatter
from twisted.python.failure import Failure

#: What Scrapy says of itself before a crawl: forty lines that nobody reads who did not ask.
_PREAMBLE = ("scrapy.addons", "scrapy.crawler", "scrapy.middleware", "scrapy.utils.log")


#: Warns of a short body, with its URL and advice that would store it; the crawl tries again.
_BROKEN_TRANSFER = "scrapy.core.downloader.handlers._base_streaming"


def quieten(level: str) -> None:
    """Keep settings, versions and lists of components out of a log, but for one at DEBUG.

    By filters, since Scrapy sets the levels of its loggers when a process begins.
    """
    logging.getLogger(_BROKEN_TRANSFER).addFilter(_is_no_data_loss)
    if level != "DEBUG":
        for name in _PREAMBLE:
            logging.getLogger(name).addFilter(_is_above_info)


def _is_no_data_loss(record: logging.LogRecord) -> bool:
    return "data loss" not in str(record.msg)


def _is_above_info(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO


class QuietLogFormatter(LogFormatter):
    """Says nothing of what goes well; pages and images have lines of their own."""

    def crawled(self, request: Request, response: Response, spider: Spider) -> None:  # type: ignore[override]
        """Say nothing: signed URLs must not be logged, and no record need be built."""

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> None:  # type: ignore[override]
        """Say nothing of an image that was saved."""

    def dropped(self, item: Any, exception: BaseException, response: Any, spider: Spider) -> None:  # type: ignore[override]
        """Say nothing: the thumbnails pipeline has told the ledger why."""
