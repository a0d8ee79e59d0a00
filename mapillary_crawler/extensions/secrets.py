"""Keeps tokens and signed URLs out of every log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler

from mapillary_crawler.extensions.log_file import redactor


class Secrets:
    """Filters what all handlers get: Scrapy itself names the URL of a broken transfer."""

    def __init__(self, crawler: Crawler) -> None:
        self._filter = _Filter(redactor(crawler.settings).without_secrets)
        crawler.signals.connect(self._opened, signal=signals.spider_opened)
        crawler.signals.connect(self._stopped, signal=signals.engine_stopped)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect to the crawler's beginning and end."""
        return cls(crawler)

    def _opened(self) -> None:
        for handler in logging.root.handlers:
            handler.addFilter(self._filter)

    def _stopped(self) -> None:
        for handler in logging.root.handlers:
            handler.removeFilter(self._filter)


class _Filter(logging.Filter):
    """Passes all records on, without what must not be in them."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact
        self._format = logging.Formatter().formatException

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record, its traceback too."""
        record.msg, record.args = self._redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[0]:
            record.exc_text = self._redact(record.exc_text or self._format(record.exc_info))
        return True
