"""Ends a run after a time, or after so many bytes of images, as `stop_after` asks for."""

from __future__ import annotations

import asyncio
from typing import Self

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from mapillary_crawler.collection.arguments import StopAfter
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.crawl.transfer import slots


class StopAfterExtension:
    """Counts what the run's images bring, whatever becomes of them, or the seconds.

    The finish of a collection is not cut short: it fetches nothing.
    """

    def __init__(self, crawler: Crawler, limit: StopAfter) -> None:
        self._crawler = crawler
        self._limit = limit
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        if limit.seconds is not None:
            crawler.signals.connect(self._opened, signal=signals.spider_opened)
            crawler.signals.connect(self._closed, signal=signals.spider_closed)
        else:
            crawler.signals.connect(self._received, signal=signals.bytes_received)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect to the crawler, where the run has a limit."""
        limit = run_of(crawler).collection.arguments.stop_after
        if limit is None:
            raise NotConfigured
        return cls(crawler, limit)

    def _opened(self) -> None:
        assert self._limit.seconds is not None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limit.seconds, self._end)

    def _closed(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _received(self, data: bytes, request: Request) -> None:
        if request.meta.get("download_slot") in slots.OF_IMAGES:
            self._size += len(data)
            if self._limit.size is not None and self._size >= self._limit.size:
                self._end()

    def _end(self) -> None:
        run_of(self._crawler).wind_down(f"stop_after={self._limit.said}")
