"""The spider `user`: lists a user's images and feeds them to the pipelines."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from typing import Any, Self

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from mapillary_crawler import archive_org, graph_api
from mapillary_crawler.arguments import validate
from mapillary_crawler.balance import Outcome
from mapillary_crawler.collection import Collection
from mapillary_crawler.downloader import LimitedDownloader
from mapillary_crawler.end_of_run import EndOfRun, end_of_run
from mapillary_crawler.feeder import Feeder
from mapillary_crawler.graph_answers import Answer, Meaning
from mapillary_crawler.graph_client import GraphClient
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.listing import Committed, CursorLoop, CursorMoved
from mapillary_crawler.limits import read_limits
from mapillary_crawler.listing_end import Step, next_step
from mapillary_crawler.patience import Patience
from mapillary_crawler.pipelines.webp import WebpPipeline
from mapillary_crawler.staging import Staging

logger = logging.getLogger(__name__)

#: Seconds that archive.org has to say whether it has the collection.
_ARCHIVE_ORG_SECONDS = 10
#: Empty answers in a row for a user with images after which a run ends, and those after which
#: a page behind a cursor is believed to be empty, the listing's last.
_EMPTY_ANSWERS, _EMPTY_LAST_PAGES = 8, 4
#: Times that a run begins its listing anew because its cursors lead nowhere.
_RESTARTS = 20
#: Pages without a usable row that are asked for again; the next is taken as it is.
_UNUSABLE_PAGES = 5
#: Images the listing may be ahead of the pipelines: some hours of fetching.
_AHEAD = 100_000


class UserSpider(Spider):
    """Archives a user's images.

    The arguments are those of `arguments.validate`; `staging` is the collection opened by
    the command, or opened here for who runs the spider without it (`Refused`,
    `ArgumentRefused` are raised then).
    """

    name = "user"

    def __init__(self, staging: Staging) -> None:
        super().__init__()
        self.staging = staging
        self.collection = staging.collection
        self.username = staging.collection.username
        self.quality = staging.collection.quality
        self.webp = staging.collection.webp
        #: Set once the run is to end now.
        self.stopping = threading.Event()
        self._woken = asyncio.Event()
        self.outcome: Outcome | None = None
        self.client: GraphClient
        self._listing_open = True
        self._empty_answers = 0
        self._unusable_pages = 0
        self._restarts = 0

    @classmethod
    def from_crawler(
        cls, crawler: Crawler, *args: Any, staging: Staging | None = None, **kwargs: Any
    ) -> Self:
        """Open the collection unless the command has."""
        if staging is None:
            limits = read_limits(crawler.settings, os.environ)
            staging = Staging.open(validate(kwargs), limits)
        spider = cls(staging)
        spider._set_crawler(crawler)
        patience = Patience(staging.limits.api_patience)
        spider.client = GraphClient(crawler, patience, spider.sleep)
        return spider

    async def start(self) -> AsyncIterator[Any]:
        """Yield the feeder's request, and the listing's where it is not closed."""
        if await self._is_on_archive_org():
            return
        position = await self.staging.thread.call(self.staging.ledger.listing.position)
        self._listing_open = not position.closed
        if not position.closed:
            if position.ended:
                await self._end_listing()
            if self._listing_open:
                yield await self._page_request()
        yield Request("data:,", callback=self.feed, dont_filter=True)

    async def _is_on_archive_org(self) -> bool:
        """Ask archive.org, before a collection is begun, whether it has it already."""
        staging = self.staging
        if not staging.new or not staging.arguments.check_ia or self.collection.selection:
            return False
        base, identifier = staging.limits.archive_org_url, self.collection.identifier
        request = Request(
            archive_org.metadata_url(base, identifier),
            dont_filter=True,
            meta={"download_slot": "archive.org", "download_timeout": _ARCHIVE_ORG_SECONDS},
        )
        try:
            response = await self.crawler.engine.download_async(request)
            presence = archive_org.read_presence(response.status, response.body)
        except Exception as error:  # noqa: BLE001  whatever ended the transfer
            logger.debug("archive.org: %s", type(error).__name__)
            presence = archive_org.Presence.UNKNOWN
        place = archive_org.item_url(base, identifier)
        if presence is archive_org.Presence.EXISTS:
            line = f"{place} exists; to archive it all the same, say -a check_ia=0"
            self.end(EndOfRun(Outcome.ALREADY_ARCHIVED, line))
            return True
        if presence is not archive_org.Presence.ABSENT:
            logger.warning("archive.org: %s %s; going on", place, presence.value)
        return False

    # Listing: one page at a time, each committed before the next is asked for

    async def _page_request(self) -> Request:
        """Return the request of the page that the listing stands at."""
        position = await self.staging.thread.call(self.staging.ledger.listing.position)
        url = graph_api.page_url(
            self.staging.limits.api_url,
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

    async def parse_page(
        self, response: Response, cursor: str | None, limit: int
    ) -> AsyncIterator[Any]:
        """Commit a page and ask for the next; a page of a cursor that was left is ignored."""
        answer, wait = self.client.read(response, with_cursor=cursor is not None)
        async for request in self._continue(answer, cursor, limit, wait):
            yield request

    async def page_failed(self, failure: Failure) -> AsyncIterator[Any]:
        """Ask again for a page whose transfer failed."""
        if self.closing():
            return
        assert failure.value is not None
        answer = self.client.failed_transfer(failure.value)
        asked = failure.request.cb_kwargs  # type: ignore[attr-defined]
        async for request in self._continue(answer, asked["cursor"], asked["limit"], None):
            yield request

    async def _continue(
        self, answer: Answer, cursor: str | None, limit: int, wait: float | None
    ) -> AsyncIterator[Request]:
        try:
            await self._take_page(answer, cursor, limit, wait)
            while self._listing_open and await self._is_ahead():
                await self.sleep(1)
        except CursorMoved:
            return
        except (EndOfRun, OSError, sqlite3.Error) as error:
            self.end(end_of_run(error))
            return
        if self._listing_open and not self.closing():
            yield await self._page_request()

    async def _take_page(
        self, answer: Answer, cursor: str | None, limit: int, wait: float | None
    ) -> None:
        """Commit a page, or wait for as long as its answer asks for."""
        call = self.staging.thread.call
        if answer.meaning in (Meaning.CURSOR_REJECTED, Meaning.GONE) and cursor is not None:
            await self._list_from_the_start(f"the API rejects the cursor ({answer.message})")
            return
        unknown_user = answer.meaning is Meaning.GONE
        if answer.meaning is not Meaning.DATA and not unknown_user:
            await self.client.endure(answer, wait)
            return
        try:
            page = graph_api.read_page({"data": []} if unknown_user else answer.data, limit)
            self._doubt_rows(page)
            if not page.rows and page.following is None and not await self._believe_empty(cursor):
                return
            committed = await call(self._commit, page, cursor)
        except CursorLoop:
            await self._list_from_the_start("the listing runs in a circle")
            return
        except graph_api.MalformedPage as error:
            await self.client.endure(Answer(Meaning.RETRY, str(error)))
            return
        self._empty_answers = 0
        self.client.patience.page_succeeded()
        logger.info(
            "Listed %d new images, %d known, %d outside", committed.new - committed.outside,
            committed.known, committed.outside,
        )  # fmt: skip
        if page.following is None:
            await self._end_listing()

    def _commit(self, page: graph_api.Page, cursor: str | None) -> Committed:
        """Commit a page (in the ledger's thread, since it takes a while)."""
        rows = []
        for index, row in enumerate(page.rows):
            listed = graph_api.listed_row(row, self.collection)
            if listed is None:
                logger.warning("Row %d of the page behind %s has no usable id", index, cursor)
            else:
                rows.append(listed)
        nameless = len(page.rows) - len(rows)
        listing = self.staging.ledger.listing
        return listing.commit(cursor, page.following, rows, nameless=nameless)

    async def _list_from_the_start(self, reason: str) -> None:
        """Begin the listing anew, some times; raises `EndOfRun` where that is no use."""
        self._restarts += 1
        if self._restarts > _RESTARTS:
            message = f"the listing had to be begun anew {_RESTARTS} times: {reason}"
            raise EndOfRun(Outcome.UNAVAILABLE, message)
        logger.warning("Listing again from the start: %s", reason)
        listing = self.staging.ledger.listing
        await self.staging.thread.call(listing.start_round, again=False)
        await self.client.endure(Answer(Meaning.RETRY, reason))

    def _doubt_rows(self, page: graph_api.Page) -> None:
        """Raise `MalformedPage`, some times, for a page whose rows are all unusable."""
        if page.rows and not any(graph_api.has_id(row) for row in page.rows):
            self._unusable_pages += 1
            if self._unusable_pages <= _UNUSABLE_PAGES:
                raise graph_api.MalformedPage("no row of the page has a usable id")

    async def _believe_empty(self, cursor: str | None) -> bool:
        """Say whether an empty last page is to be believed; raises `EndOfRun`.

        Graph API: an outage can look like an empty answer, and one believed in the middle of a
        listing cuts off all that follows. A user never listed before is asked for twice; a
        page behind a cursor four times, and then a first page with images must show that the
        service is well.
        """
        known = await self.staging.thread.call(self.staging.ledger.images.listed)
        self._empty_answers += 1
        often = self._empty_answers >= _EMPTY_LAST_PAGES
        if cursor is not None and often and await self._has_images(self.collection):
            return True
        if cursor is None and known == 0 and self._empty_answers > 1:
            raise EndOfRun(Outcome.NO_IMAGES, await self._nothing_found())
        if self._empty_answers > _EMPTY_ANSWERS:
            raise EndOfRun(
                Outcome.UNAVAILABLE,
                f"the API lists no images for user {self.username}, although it listed {known} "
                "before",
            )
        logger.warning("The API answered with an empty page; asking again")
        await self.sleep(min(60, 2.0 ** (self._empty_answers - 1)))
        return False

    async def _has_images(self, collection: Collection) -> bool:
        url = graph_api.page_url(self.staging.limits.api_url, collection, ("id",), limit=1)
        answer = await self.client.ask(url)
        return answer.meaning is Meaning.DATA and bool(answer.data.get("data"))

    async def _nothing_found(self) -> str:
        """Return the line for a run without images: no such user, or none in the selection."""
        balance = await self.staging.thread.call(self.staging.ledger.images.balance)
        if balance.outside:
            return f"{self.username} has {balance.outside} images, none in this selection"
        if self.collection.selection and await self._has_images(Collection(self.username)):
            return f"{self.username} has images, none in this selection"
        return f"no images found for user {self.username} (names are case-sensitive)"

    async def _end_listing(self) -> None:
        """Decide what follows on a page without a next one; raises `EndOfRun`."""
        ledger, call = self.staging.ledger, self.staging.thread.call
        step = next_step(
            await call(ledger.listing.position),
            known=await call(ledger.images.listed),
            short_before=await call(ledger.facts.get, "listing_short"),
        )
        if step is Step.CLOSE:
            balance = await call(ledger.images.balance)
            if balance.listed == 0:
                raise EndOfRun(Outcome.NO_IMAGES, await self._nothing_found())
            await call(ledger.listing.close)
            self._listing_open = False
            logger.info("The listing is complete: %d images", balance.listed)
            return
        logger.info("Listing again: %s", step.value)
        if step is Step.SHORT:
            rows = (await call(ledger.listing.position)).rows
            await call(ledger.facts.set, listing_short=rows)
        await call(ledger.listing.start_round, again=True)

    async def _is_ahead(self) -> bool:
        waiting = await self.staging.thread.call(self.staging.ledger.queue.waiting)
        return waiting > _AHEAD and not self.closing()

    # Feeder

    async def feed(self, response: Response) -> AsyncIterator[ImageItem]:
        """Yield what the ledger says is due, until nothing can become due any more."""
        feeder = Feeder(
            self.staging, self.client, lambda: self._listing_open, self.closing, self.sleep
        )
        try:
            async for item in feeder.items():
                yield item
        except (EndOfRun, OSError, sqlite3.Error) as error:
            self.end(end_of_run(error))

    # Ending

    def closing(self) -> bool:
        """Say whether the run is ending, for whatever reason."""
        return self.stopping.is_set() or self.crawler.engine.needs_backout()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self.closing():
            try:
                await asyncio.wait_for(self._woken.wait(), min(left, 1))
            except TimeoutError:
                continue

    def end(self, end: EndOfRun) -> None:
        """End the run with an outcome of its own."""
        if self.outcome is None:
            self.outcome = end.outcome
            logger.error("%s", end)
            self.stop()
            asyncio.ensure_future(  # noqa: RUF006  the engine holds its own reference
                self.crawler.engine.close_spider_async(reason=end.outcome.reason)
            )

    def stop(self) -> None:
        """Let nothing begin any more and end what is on its way (in the reactor's thread)."""
        self.stopping.set()
        self._woken.set()
        downloader = self.crawler.engine.downloader
        assert isinstance(downloader, LimitedDownloader)
        downloader.cancel_all()
        encoding = self.crawler.get_item_pipeline(WebpPipeline)
        if encoding is not None:
            encoding.kill_children()


def spider_of(crawler: Crawler) -> UserSpider:
    """Return the spider that a crawler runs, which in this project is this one."""
    assert isinstance(crawler.spider, UserSpider)
    return crawler.spider
