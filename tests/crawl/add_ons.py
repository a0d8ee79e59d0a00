"""Add-ons of Scrapy's, for tests that have to meet a crawl at one moment."""

from __future__ import annotations

import errno
import os
import signal
from typing import Self

from scrapy import Request, signals
from scrapy.core.scheduler import Scheduler
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


class FullJobFolder:
    """Lets the folder of JOBDIR be full once the first page has been asked for."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Put a scheduler in the place that fails."""

        class Failing(Scheduler):
            def enqueue_request(self, request: Request) -> bool:
                if "after=" in request.url:
                    raise OSError(errno.ENOSPC, "No space left on device", self.dqdir)
                return super().enqueue_request(request)

        crawler.settings.set("SCHEDULER", Failing, priority="cmdline")
        return cls()
