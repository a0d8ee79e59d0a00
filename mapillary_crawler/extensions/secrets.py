"""Keeps tokens and signed URLs out of every log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Self

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
        """Clean a record, its traceback too; never raises.

        A filter runs in whatever code logs, and nothing there expects an exception. A record
        whose message does not fit its arguments keeps both, one behind the other.
        """
        record.msg, record.args = self._redact(_message(record)), ()
        if record.exc_info:
            record.exc_text = self._redact(record.exc_text or self._traceback(record.exc_info))
        return True

    def _traceback(self, exc_info: Any) -> str:
        try:
            return self._format(exc_info)
        except Exception:  # noqa: BLE001  what a library passes as exc_info
            return _shown(exc_info)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  what a library logs, its arguments' own code included
        return f"{_shown(record.msg)} {_shown(record.args)}"


def _shown(value: object) -> str:
    """Return a value as text, or its type where its own code fails."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001  whatever that code raises
        return f"<{type(value).__name__}>"
