"""Add-ons of Scrapy's, for tests that have to meet a crawl at one moment."""

from __future__ import annotations

import os
import signal
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler


class StopEarly:
    """Sends SIGTERM to its own process at the signal of Scrapy's that `STOP_AT` names."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Wait for the signal."""
        addon = cls()
        crawler.signals.connect(addon.stop, signal=getattr(signals, os.environ["STOP_AT"]))
        return addon

    def stop(self) -> None:
        """Stop, at the first."""
        if os.environ.pop("STOP_AT", ""):
            os.kill(os.getpid(), signal.SIGTERM)


class DoesNotOpen:
    """A pipeline that fails as the spider is opened."""

    def open_spider(self) -> None:
        """Fail."""
        raise RuntimeError("does not open")

    def process_item(self, item: object) -> object:
        """Pass everything on."""
        return item
