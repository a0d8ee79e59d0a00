"""One run on one collection: what its components may ask of each other."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import (
    EndOfRun,
    Outcome,
    ProjectError,
    RunStopped,
    end_of_run,
)
from mapillary_crawler.crawl import witness
from mapillary_crawler.crawl.client import GraphClient
from mapillary_crawler.crawl.fleet_pace import FleetPace
from mapillary_crawler.crawl.gone import Gone
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.scrapy_insides import has_engine, is_closing
from mapillary_crawler.crawl.sealing import Sealing
from mapillary_crawler.crawl.staging_room import StagingRoom
from mapillary_crawler.crawl.transfer import bodies
from mapillary_crawler.crawl.transfer.byte_budget import ByteBudget
from mapillary_crawler.crawl.transfer.downloader import downloader_of
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph.pace import ENTITIES, SEARCHES, Pace
from mapillary_crawler.graph.patience import Patience
from mapillary_crawler.ledger.records import Source
from mapillary_crawler.terminal.terminal_log import OF_THE_LAST_LINE

if TYPE_CHECKING:
    from mapillary_crawler.crawl.rolling_upload import RollingUpload
    from mapillary_crawler.crawl.throttle import ImageThrottle

logger = logging.getLogger(__name__)

#: Seconds for which transfers that are on their way are waited for at a limit.
_WINDING_DOWN = 60.0


#: The run that this task, or what it has started, works for: a process may have several at once.
CURRENT: ContextVar[Run | None] = ContextVar("run", default=None)


class Run:
    """A run, from the opened collection to its outcome; components take it by `run_of`.

    An `owned` collection is closed with it; another is closed by who opened it.
    """

    def __init__(
        self, crawler: Crawler, collection: OpenCollection, *, owned: bool = False
    ) -> None:
        self.crawler = crawler
        self.owned = owned
        self.collection = collection
        #: The only way to the ledger.
        self.ledger = collection.ledger
        #: None where AUTOTHROTTLE_ENABLED is off.
        self.throttle: ImageThrottle | None = None
        #: None where nothing is uploaded.
        self.upload: RollingUpload | None = None
        #: Called, in the reactor's thread, when the collection is finished and no file of it may
        #: change any more.
        self.when_finished: list[Callable[[], None]] = []
        #: Images that wait for an encoder or are with one.
        self.encoding = 0
        #: How the run ended; written by `end`, `wind_down` and by `Ending` alone.
        self.outcome: Outcome | None = None
        #: Why it ended so, where the outcome does not say it.
        self.reason = ""
        asked, configuration = collection.collection, collection.configuration
        #: The bytes of bodies on their way, whoever asked for them.
        self.budget = ByteBudget(
            configuration.in_flight_bytes, bodies.EXPECTED_BYTES[asked.quality] * bodies.COPIES
        )
        #: What a run has room for that removes what archive.org has; None for any other.
        self.room: StagingRoom | None = None
        if collection.arguments.remove and not collection.plan:
            self.room = StagingRoom(self, collection.tar_max_bytes)
        #: Set, for every thread to see, once the run is to end now.
        self.stopping = threading.Event()
        #: Makes tars beside the crawl; a plan makes none.
        self.sealing = None if collection.plan else Sealing(collection, self.stopping.is_set)
        self._woken = asyncio.Event()
        self._to_stop: list[Callable[[], object]] = []
        self._stop_at: asyncio.TimerHandle | None = None
        self.client = GraphClient(
            crawler,
            Patience(configuration.api_patience),
            self.sleep,
            graph_api.page_url(
                configuration.api_url,
                asked,
                ("id", graph_api.thumb_field(asked.quality)),
                limit=1,
            ),
            asked.selection.fields,
            pace=Pace(
                {
                    SEARCHES: configuration.searches_per_minute,
                    ENTITIES: configuration.entities_per_minute,
                }
            ),
            fleet=FleetPace.of(),
        )
        #: What is said to be gone, by whichever source.
        self.gone = Gone(
            self.ledger,
            configuration.image_attempts,
            {Source.API: self._known_image_is_named, Source.CDN: self.known_image_comes},
        )

    def closing(self) -> bool:
        """Say whether the run is ending, for whatever reason.

        Scrapy's own `needs_backout` also says so where CONCURRENT_REQUESTS are on their way.
        """
        running = self.crawler.engine.running and not is_closing(self.crawler)
        return self.stopping.is_set() or not running

    async def sleep(self, seconds: float) -> None:
        """Wait; raises `RunStopped` once the run is being stopped.

        Whoever waits to ask again would otherwise ask for ever, without a pause, and the
        process never end.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self.closing():
            try:
                await asyncio.wait_for(self._woken.wait(), min(left, 1))
            except TimeoutError:
                continue
        if self.closing():
            raise RunStopped

    @contextmanager
    def ends_by_errors(self) -> Iterator[None]:
        """Let what the run cannot go on with end it; a stop ends the block alone."""
        try:
            yield
        except RunStopped:
            return
        except (ProjectError, OSError, sqlite3.Error) as error:
            self.end(end_of_run(error))

    def end(self, end: EndOfRun) -> None:
        """End the run with an outcome of its own; the first one stays."""
        if self.outcome is None:
            self.outcome, self.reason = end.outcome, str(end)
            level = logging.ERROR if end.outcome.exit_code else logging.INFO
            logger.log(level, "%s", end, extra={OF_THE_LAST_LINE: True})
            self._stop_crawl()
            asyncio.ensure_future(  # noqa: RUF006  the engine holds its own reference
                self.crawler.engine.close_spider_async(reason=end.outcome.reason)
            )

    def wind_down(self, limit: str, outcome: Outcome = Outcome.INTERRUPTED) -> None:
        """End the run at a limit: what is in transfer may come and is saved, nothing begins.

        Otherwise one that is reached while the first images come would never be got beyond. What
        does not come is not waited for.
        """
        if self.outcome is None and not self.closing():
            self.outcome, self.reason = outcome, limit
            logger.info("%s is reached; what is in transfer is waited for", limit)
            downloader_of(self.crawler).cancel_queued()
            self._stop_at = asyncio.get_running_loop().call_later(_WINDING_DOWN, self.stop)
            asyncio.ensure_future(  # noqa: RUF006  the engine holds its own reference
                self.crawler.engine.close_spider_async(reason=outcome.reason)
            )

    @property
    def words(self) -> str:
        """How the run ended, and why, for people."""
        words = (self.outcome or Outcome.ERROR).words
        return f"{words} ({self.reason})" if self.reason else words

    def on_stop(self, call: Callable[[], object]) -> None:
        """Have `call` called, in the reactor's thread, once the run is being stopped."""
        self._to_stop.append(call)

    def stop(self) -> None:
        """Let nothing begin any more and end what is on its way (in the reactor's thread)."""
        self._stop_crawl()
        if self.upload:
            self.upload.stop()

    def _stop_crawl(self) -> None:
        """Stop all but the upload: what it sends is not sent in vain, whatever ends the crawl."""
        self.stopping.set()
        self._woken.set()
        downloader_of(self.crawler).cancel_all()
        for call in self._to_stop:
            call()

    def take_up_finished(self) -> None:
        """Go on with the collection in the store, which is closed in staging."""
        self.collection.reopen()
        self.ledger = self.collection.ledger

    @property
    def balance(self) -> Balance:
        """What had become of the images when the run ended."""
        return self.collection.balance

    async def close(self) -> None:
        """Close the collection if it is the run's own, off the reactor's thread."""
        if self._stop_at:
            self._stop_at.cancel()
        if self.sealing:
            await asyncio.to_thread(self.sealing.close)
        if self.upload:
            await asyncio.to_thread(self.upload.close)
        if self.owned:
            await asyncio.to_thread(self.collection.close)

    def close_unless_started(self) -> None:
        """Let the collection go where the crawler fails next, as by a component that raises.

        Nothing of Scrapy's tells of that; it makes the engine in one go with the spider.
        """
        with suppress(RuntimeError):  # where no loop runs yet, none may ever run
            asyncio.get_running_loop().call_soon(self._close_unless_started)

    def _close_unless_started(self) -> None:
        if not has_engine(self.crawler):
            self.collection.close()

    async def known_image_comes(self, image_id: str) -> bool:
        """Say whether an image that is known to exist still comes, from the service and the CDN.

        Raises `RunStopped` where a stop may be why it does not.
        """
        return await witness.comes(self, image_id)

    async def _known_image_is_named(self, image_id: str) -> bool:
        return await witness.is_named(self, image_id)


class RunSpider(Spider):
    """The base of the spiders that work on a run, by which components know them."""

    run: Run


def run_of(crawler: Crawler) -> Run:
    """Return the run of a crawler whose spider is made.

    Raises `NotConfigured` for a spider that has none: another one of Scrapy's is left alone by
    every component that asks for its run.
    """
    if not isinstance(crawler.spider, RunSpider):
        raise NotConfigured
    return crawler.spider.run
