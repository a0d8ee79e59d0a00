"""The extension that keeps as many images in transfer as make the throughput grow."""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property
from time import monotonic
from typing import Self

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.extensions.throttle import AutoThrottle

from mapillary_crawler.collection.outcome import EndOfRun, Outcome, RunStopped
from mapillary_crawler.crawl.inherited_settings import AUTOTHROTTLE, warn_of
from mapillary_crawler.crawl.run import Run, run_of
from mapillary_crawler.crawl.transfer.bodies import EXPECTED_BYTES
from mapillary_crawler.crawl.transfer.downloader import LimitedDownloader, downloader_of
from mapillary_crawler.crawl.transfer.outage import Outage
from mapillary_crawler.crawl.transfer.search import ConcurrencySearch
from mapillary_crawler.crawl.transfer.slots import IMAGES
from mapillary_crawler.crawl.transfer.window import TransferOutcome
from mapillary_crawler.terminal.quantities import duration, moment

logger = logging.getLogger(__name__)


#: Seconds by which a wish to wait has to be later than the last one to be told again.
_SAME_WISH = 5.0


class ImageThrottle(AutoThrottle):
    """Applies the policy of `transfer/` to the slot of the images.

    Scrapy's own measures the headers of successes and sets a delay; this one is told by
    `OutcomesMiddleware` how every transfer ended, and sets the concurrency.
    """

    def __init__(self, crawler: Crawler, run: Run) -> None:
        if not crawler.settings.getbool("AUTOTHROTTLE_ENABLED"):
            raise NotConfigured("AUTOTHROTTLE_ENABLED is off")
        warn_of(AUTOTHROTTLE, crawler.settings, "MAPILLARY_CONCURRENCY_* bound the transfers")
        self.crawler = crawler
        self._run = run
        self._configuration = configuration = run.collection.configuration
        self._fixed = configuration.concurrency_fixed
        self._search = ConcurrencySearch(
            concurrency=min(max(configuration.concurrency_start, configuration.concurrency_min),
                            configuration.concurrency_max),
            minimum=configuration.concurrency_min,
            maximum=configuration.concurrency_max,
        )  # fmt: skip
        self._outage = Outage()
        self._applied = 0
        #: Until when the servers asked to wait, on the monotonic clock.
        self._asked_until = 0.0
        self._asking: asyncio.Future[None] | None = None
        crawler.signals.connect(self._spider_opened, signal=signals.spider_opened)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the throttle of the run, which others ask for it."""
        run = run_of(crawler)
        run.throttle = cls(crawler, run)
        return run.throttle

    def is_outage(self) -> bool:
        """Say whether what fails now is the CDN's fault and costs the images no attempt."""
        return self._outage.since is not None

    def finished(
        self,
        latency: float,
        size: int,
        outcome: TransferOutcome,
        *,
        begun_with: int,
        first_attempt: bool,
        retry_after: float | None = None,
    ) -> None:
        """Take in a finished transfer of an image: its seconds until the last byte, its bytes.

        `begun_with` transfers were in flight when it began, itself too.
        """
        now = monotonic()
        if outcome is TransferOutcome.REFUSED:
            self.crawler.stats.inc_value("throttle/images/refused")
        if retry_after and retry_after > self._configuration.api_patience:
            message = (
                f"the image servers ask to wait for {duration(retry_after)}, longer than "
                f"API_PATIENCE allows; run the same command again after {moment(retry_after)}"
            )
            self._run.end(EndOfRun(Outcome.SERVICE_AWAY, message))
        elif retry_after:
            if now + retry_after > self._asked_until + _SAME_WISH:
                logger.info("The image servers ask to wait until %s", moment(retry_after))
            self._asked_until = max(self._asked_until, now + retry_after)
            self._downloader.pause(IMAGES, retry_after)
            self._search.interrupt(retry_after)
        was_away = self.is_outage()
        if self._outage.finished(now, outcome, begun_with=begun_with, first_attempt=first_attempt):
            self._wait_out(now)
        elif was_away:
            logger.info("The image servers answer again")
            self._go_on(now)
            self._search.restart(now, self._configuration.concurrency_start)
        else:
            brake = self._downloader.brake
            in_flight = self._downloader.in_flight(IMAGES) - (brake.waiting if brake else 0)
            self._search.finished(
                now, latency, size, outcome, begun_with=begun_with, in_flight=in_flight
            )
        self._apply()

    @cached_property
    def _downloader(self) -> LimitedDownloader:
        return downloader_of(self.crawler)

    def _spider_opened(self, spider: Spider) -> None:
        self._apply()

    def _apply(self) -> None:
        """Set the slot's concurrency; one at a time while the CDN is away."""
        wanted = 1 if self.is_outage() else self._fixed or min(self._search.limit, self._most())
        if wanted == self._applied:
            return
        logger.debug("%d images in transfer at once: %s", wanted, self._reason())
        self._applied = wanted
        self._downloader.set_concurrency(IMAGES, wanted)
        stats = self.crawler.stats
        stats.set_value("throttle/images/concurrency", wanted)
        stats.max_value("throttle/images/max_concurrency", wanted)
        if self._search.ceiling.value is not None:
            stats.set_value("throttle/images/ceiling", self._search.ceiling.value)

    def _most(self) -> int:
        """Return the transfers that MAX_BYTES_PER_SECOND leaves room for."""
        configuration, brake = self._configuration, self._downloader.brake
        if brake is None:
            return configuration.concurrency_max
        expected = EXPECTED_BYTES[self._run.collection.collection.quality]
        return max(configuration.concurrency_min, brake.at_once(expected))

    def _reason(self) -> str:
        if self.is_outage():
            return "outage"
        return "fixed" if self._fixed else self._search.mode.value

    def _wait_out(self, now: float) -> None:
        """Pause the images, or end the run where the CDN was away for too long."""
        assert self._outage.since is not None
        away = now - self._outage.since
        if away >= self._configuration.api_patience:
            message = f"the image servers gave no image for {away:.0f} s"
            self._run.end(EndOfRun(Outcome.SERVICE_AWAY, message))
            return
        if self._downloader.paused_for(IMAGES):
            return
        seconds = self._outage.pause()
        logger.info("The image servers give no images; trying again in %.1f s", seconds)
        self.crawler.stats.inc_value("throttle/images/pauses")
        self._downloader.pause(IMAGES, seconds)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask_for_a_known_image())

    def _go_on(self, now: float) -> None:
        """End the pause of an outage; what the servers asked for stays."""
        self._downloader.resume(IMAGES)
        if self._asked_until > now:
            self._downloader.pause(IMAGES, self._asked_until - now)

    async def _ask_for_a_known_image(self) -> None:
        """Fetch an image that came before: if it comes, the CDN is well and others are not."""
        try:
            known = await self._run.ledger.ask(lambda ledger: ledger.images.some_saved(1))
            if known and await self._run.known_image_comes(known[0]):
                now = monotonic()
                self._outage.disproved(now)
                self._go_on(now)
                self._apply()
        except RunStopped:
            return  # nothing is to be known any more
