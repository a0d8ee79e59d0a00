"""Ends a run: finishes the collection if it is complete, and settles the outcome."""

from __future__ import annotations

import logging
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler

from mapillary_crawler.balance import Outcome
from mapillary_crawler.spiders.user import UserSpider, spider_of

logger = logging.getLogger(__name__)


class Ending:
    """On `spider_closed`, so that all pipelines are closed; off the reactor's thread."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        crawler.signals.connect(self._spider_closed, signal=signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect to the crawler's end."""
        return cls(crawler)

    async def _spider_closed(self, reason: str) -> None:
        spider = spider_of(self._crawler)
        staging = spider.staging
        staging.balance = await staging.thread.call(staging.ledger.images.balance)
        spider.outcome = spider.outcome or await self._outcome(spider, reason)
        self._crawler.stats.set_value("finish_reason", spider.outcome.reason)
        if spider.outcome is Outcome.NO_IMAGES:
            await staging.thread.call(staging.discard)

    async def _outcome(self, spider: UserSpider, reason: str) -> Outcome:
        """Return how a run ended that no trouble ended."""
        staging = spider.staging
        if reason != "finished" or spider.stopping.is_set():
            return Outcome.INTERRUPTED
        if staging.balance.failed:
            return Outcome.INCOMPLETE
        return Outcome.COMPLETE
