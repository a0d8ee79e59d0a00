"""The spider `user`: lists a user's images and feeds them to the pipelines."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Self

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from mapillary_crawler.archive.internet_archive import presence as archive_org
from mapillary_crawler.collection.arguments import validate
from mapillary_crawler.collection.configuration import read_configuration
from mapillary_crawler.collection.outcome import EndOfRun, Outcome, RunStopped, end_of_run
from mapillary_crawler.crawl import witness
from mapillary_crawler.crawl.client import GraphClient
from mapillary_crawler.crawl.feeder import Feeder
from mapillary_crawler.crawl.fresh_urls import FreshUrls
from mapillary_crawler.crawl.gone import Gone
from mapillary_crawler.crawl.lister import Lister
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.transfer.downloader import LimitedDownloader
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph.answers import Answer
from mapillary_crawler.graph.patience import Patience
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.records import CursorMoved, Source

logger = logging.getLogger(__name__)

#: Seconds that archive.org has to say whether it has the collection.
_ARCHIVE_ORG_SECONDS = 10
#: Images the listing may be ahead of the pipelines: some hours of fetching.
_AHEAD = 100_000


class UserSpider(Spider):
    """Archives a user's images.

    The arguments are those of `arguments.validate`; `staging` is the collection opened by
    the command, or opened here for who runs the spider without it (`Refused`,
    `ArgumentRefused` are raised then).
    """

    name = "user"

    def __init__(self, staging: OpenCollection) -> None:
        super().__init__()
        self.staging = staging
        self.collection = staging.collection
        self.username = staging.collection.username
        self.quality = staging.collection.quality
        self.webp = staging.collection.webp
        #: Set once the run is to end now.
        self.stopping = threading.Event()
        self._woken = asyncio.Event()
        self._to_stop: list[Callable[[], None]] = []
        self.outcome: Outcome | None = None
        self.client: GraphClient
        #: What the CDN says is gone.
        self.gone = Gone(staging, Source.CDN, partial(witness.comes, self))
        self._lister: Lister

    @classmethod
    def from_crawler(
        cls, crawler: Crawler, *args: Any, staging: OpenCollection | None = None, **kwargs: Any
    ) -> Self:
        """Open the collection unless the command has."""
        if staging is None:
            configuration = read_configuration(crawler.settings, os.environ)
            staging = OpenCollection.open(validate(kwargs), configuration)
        spider = cls(staging)
        spider._set_crawler(crawler)
        patience = Patience(staging.configuration.api_patience)
        fields = ("id", graph_api.thumb_field(spider.quality))
        first_image = graph_api.page_url(
            staging.configuration.api_url, staging.collection, fields, limit=1
        )
        spider.client = GraphClient(crawler, patience, spider.sleep, first_image)
        spider._lister = Lister(staging, spider.client, spider.sleep)
        return spider

    async def start(self) -> AsyncIterator[Any]:
        """Yield the feeder's request, and the listing's where it is not closed."""
        if await self._is_on_archive_org():
            return
        try:
            await self._lister.start()
        except RunStopped:
            return
        except EndOfRun as end:
            self.end(end)
            return
        if self._lister.open:
            yield await self._page_request()
        yield Request("data:,", callback=self.feed, errback=self.not_fed, dont_filter=True)

    async def _is_on_archive_org(self) -> bool:
        """Ask archive.org, before a collection is begun, whether it has it already."""
        staging = self.staging
        if not staging.new or not staging.arguments.check_ia or self.collection.selection:
            return False
        presence = await self.presence()
        place = archive_org.item_url(
            staging.configuration.archive_org_url, self.collection.identifier
        )
        if presence is archive_org.Presence.EXISTS:
            line = f"{place} exists; to archive it all the same, say -a check_ia=0"
            self.end(EndOfRun(Outcome.ALREADY_ARCHIVED, line))
            return True
        if presence is not archive_org.Presence.ABSENT:
            logger.warning("archive.org: %s %s; going on", place, presence.value)
        return False

    async def presence(self) -> archive_org.Presence:
        """Return what archive.org says of the collection's item."""
        base, identifier = self.staging.configuration.archive_org_url, self.collection.identifier
        request = Request(
            archive_org.metadata_url(base, identifier),
            dont_filter=True,
            meta={"download_slot": "archive.org", "download_timeout": _ARCHIVE_ORG_SECONDS},
        )
        try:
            response = await self.crawler.engine.download_async(request)
        except Exception as error:  # noqa: BLE001  whatever ended the transfer
            logger.debug("archive.org: %s", type(error).__name__)
            return archive_org.Presence.UNKNOWN
        return archive_org.read_presence(response.status, response.body)

    # Listing: one page at a time, each committed before the next is asked for

    async def _page_request(self) -> Request:
        """Return the request of the page that the listing stands at."""
        position = await self.staging.thread.call(self.staging.ledger.listing.position)
        url = graph_api.page_url(
            self.staging.configuration.api_url,
            self.collection,
            (*self.client.fields, graph_api.thumb_field(self.quality)),
            cursor=position.cursor,
            limit=self.client.patience.page_rows,
        )
        return self.client.request(
            url,
            callback=self.parse_page,
            errback=self.page_failed,
            cb_kwargs={"cursor": position.cursor, "limit": self.client.patience.page_rows},
        )

    async def parse_page(self, response: Response, cursor: str | None, limit: int) -> None:
        """Commit a page and ask for the next; a page of a cursor that was left is ignored."""
        answer, wait = self.client.read(response, with_cursor=cursor is not None)
        await self._continue(answer, cursor, limit, wait)

    async def page_failed(self, failure: Failure) -> None:
        """Ask again for a page whose transfer failed."""
        if self.closing():
            return
        assert failure.value is not None
        answer = self.client.failed_transfer(failure.value)
        asked = failure.request.cb_kwargs  # type: ignore[attr-defined]
        await self._continue(answer, asked["cursor"], asked["limit"], None)

    async def _continue(
        self, answer: Answer, cursor: str | None, limit: int, wait: float | None
    ) -> None:
        """Take an answer in and ask for the next page."""
        try:
            await self._lister.take(answer, cursor, limit, wait)
            while self._lister.open and await self._is_ahead():
                await self.sleep(1)
            if self._lister.open and not self.closing():
                self.crawler.engine.crawl(await self._page_request())
        except (CursorMoved, RunStopped):
            return
        except (EndOfRun, OSError, sqlite3.Error) as error:
            self.end(end_of_run(error))

    async def _is_ahead(self) -> bool:
        waiting = await self.staging.thread.call(self.staging.ledger.queue.waiting)
        return waiting > _AHEAD and not self.closing()

    # Feeder

    async def feed(self, response: Response) -> AsyncIterator[ImageItem]:
        """Yield what the ledger says is due, until nothing can become due any more."""
        feeder = Feeder(
            self.staging,
            lambda: self._lister.open,
            self.closing,
            self.sleep,
            FreshUrls(self.staging, self.client, self.closing, self.sleep),
            self.gone,
        )
        try:
            async for item in feeder.items():
                yield item
        except RunStopped:
            return
        except (EndOfRun, OSError, sqlite3.Error) as error:
            self.end(end_of_run(error))

    def not_fed(self, failure: Failure) -> None:
        """Let a run that was stopped as it began end without an error; nothing else fails here."""
        assert isinstance(failure.value, RunStopped), failure.value

    # Ending

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
            raise RunStopped("the crawl is being stopped")

    def end(self, end: EndOfRun) -> None:
        """End the run with an outcome of its own."""
        if self.outcome is None:
            self.outcome = end.outcome
            logger.error("%s", end)
            self.stop()
            asyncio.ensure_future(  # noqa: RUF006  the engine holds its own reference
                self.crawler.engine.close_spider_async(reason=end.outcome.reason)
            )

    def on_stop(self, end: Callable[[], None]) -> None:
        """Have `end` called, in the reactor's thread, once the run is being stopped."""
        self._to_stop.append(end)

    def stop(self) -> None:
        """Let nothing begin any more and end what is on its way (in the reactor's thread)."""
        self.stopping.set()
        self._woken.set()
        downloader = self.crawler.engine.downloader
        assert isinstance(downloader, LimitedDownloader)
        downloader.cancel_all()
        for end in self._to_stop:
            end()


def is_closing(crawler: Crawler) -> bool:
    """Say whether the engine closes the spider already, the finish included."""
    slot = crawler.engine._slot
    return slot is None or slot.closing is not None


def spider_of(crawler: Crawler) -> UserSpider:
    """Return the spider that a crawler runs, which in this project is this one."""
    assert isinstance(crawler.spider, UserSpider)
    return crawler.spider
