"""The spider `user`: lists a user's images and feeds them to the pipelines."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, ClassVar, Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import UsageError
from scrapy.http import Response
from scrapy.settings import Settings, default_settings
from twisted.python.failure import Failure

from mapillary_crawler.archive.internet_archive import presence as archive_org
from mapillary_crawler.collection.configuration import read_configuration
from mapillary_crawler.collection.configuration_file import validated
from mapillary_crawler.collection.misspelt import misspelt
from mapillary_crawler.collection.outcome import (
    ArgumentRefused,
    EndOfRun,
    Outcome,
    RunStopped,
)
from mapillary_crawler.collection.token import read_token
from mapillary_crawler.crawl import already_there
from mapillary_crawler.crawl.feeder import Feeder
from mapillary_crawler.crawl.fresh_urls import FreshUrls, StaleImages
from mapillary_crawler.crawl.lister import AHEAD, Lister, PageRequest
from mapillary_crawler.crawl.on_end import read_on_end
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.opening import open_for_crawl
from mapillary_crawler.crawl.run import CURRENT, Run, RunSpider
from mapillary_crawler.crawl.scrapy_settings import check_scrapy_settings
from mapillary_crawler.crawl.slices import lists_for_slices, may_be_cut
from mapillary_crawler.crawl.untaken import untaken_in_a_line
from mapillary_crawler.items import ImageItem
from mapillary_crawler.terminal.program import program_name

logger = logging.getLogger(__name__)


class SpiderRefused(ArgumentRefused, UsageError):
    """A spider that is made without any argument, as by `scrapy shell`, which ends with a line."""

    print_help = False


class UserSpider(RunSpider):
    """Archives a user's images.

    The arguments are those of `arguments.validate`; `opened` is the collection opened by
    the command. For who runs the spider without it, as with `AsyncCrawlerRunner`, it is opened
    here (`Refused`, `ArgumentRefused` are raised then, for the crawl's task or Deferred; a line
    of the log where nobody takes them from there) and closed at the end of the crawl. That
    blocks the reactor for the writing of a few pages, or, where a kill interrupted a move from one
    disk to another, for the rest of that move.
    """

    name = "user"

    #: Images that may wait to be fetched while another page is asked for; None is no limit, and
    #: there is none where the listing is for slices, or days are to be removed as they are done.
    ahead: ClassVar[int | None] = AHEAD

    _lister: Lister

    def __init__(self, opened: OpenCollection) -> None:
        super().__init__(UserSpider.name)
        self.collection = opened.collection
        self.username = opened.collection.username
        self.quality = opened.collection.quality
        self.webp = opened.collection.webp
        self.jxl = opened.collection.jxl

    @classmethod
    def from_crawler(
        cls, crawler: Crawler, *args: Any, opened: OpenCollection | None = None, **kwargs: Any
    ) -> Self:
        """Open the collection unless the command has, and make the run."""
        owned = opened is None
        if opened is None:
            untaken_in_a_line()
            opened = _open(crawler.settings, kwargs)
        spider = super().from_crawler(crawler, opened)
        spider.run = Run(crawler, opened, owned=owned)
        CURRENT.set(spider.run)
        if opened.arguments.upload and not opened.plan:
            spider._begin_upload()
        if owned:
            spider.run.close_unless_started()
        ahead = None if opened.arguments.remove else cls.ahead
        spider._lister = Lister(spider.run, ahead=ahead)
        return spider

    def _begin_upload(self) -> None:
        """Make the upload beside the crawl; a crawl without one loads nothing of it."""
        from mapillary_crawler.crawl.rolling_upload import RollingUpload  # noqa: PLC0415

        upload = self.run.upload = RollingUpload.of(self.run.collection, self.crawler.settings)
        if self.run.sealing:
            self.run.sealing.on_sealed.append(upload.wake)

    async def start(self) -> AsyncIterator[Any]:
        """Yield the feeder's request, and the listing's where it is not closed."""
        if self.run.collection.finished:
            return
        with self.run.ends_by_errors():
            if await self._is_on_archive_org():
                return
            opened = self.run.collection
            if not opened.arguments.cut or opened.gathers:
                self._start_upload()
            if opened.renews:
                await FreshUrls(self.run, StaleImages()).renew_whole()
                self.run.wind_down("the end of the list", Outcome.CUT)
                return
            if opened.gathers:
                self.run.wind_down("the last slice that has ended", Outcome.CUT)
                return
            ask = self.run.ledger.ask
            self._lister.for_slices = await ask(partial(lists_for_slices, opened))
            if page := await self._lister.start():
                yield self._page_request(page)
            elif await self._ends_to_be_cut():
                return
            yield Request("data:,", callback=self.feed, errback=self.not_fed, dont_filter=True)

    async def _is_on_archive_org(self) -> bool:
        """Ask archive.org, before a collection is begun, whether it has it already."""
        opened = self.run.collection
        if not opened.new or not opened.arguments.check_ia or self.collection.selection:
            return False
        presence = await already_there.presence(self.run)
        place = archive_org.item_url(
            opened.configuration.archive_org_url, self.collection.identifier
        )
        if presence is archive_org.Presence.EXISTS:
            line = f"archive.org has it: {place}"
            self.run.end(EndOfRun(Outcome.ALREADY_ARCHIVED, line))
            return True
        if presence is not archive_org.Presence.ABSENT:
            adopt = f"{program_name()} adopt --item {self.collection.identifier}"
            half = presence is archive_org.Presence.INCOMPLETE
            other = f" (its upload goes on with: {adopt})" if half else ""
            logger.warning("archive.org: %s %s%s; going on", place, presence.value, other)
        return False

    # Listing: one page at a time, each committed before the next is asked for

    def _page_request(self, page: PageRequest) -> Request:
        return self.run.client.request(
            page.url,
            callback=self.parse_page,
            errback=self.page_failed,
            cb_kwargs={"page": page},
        )

    async def parse_page(self, response: Response, page: PageRequest) -> None:
        """Give the listing a page, and ask for the one that it wants next."""
        with self.run.ends_by_errors():
            await self._go_on(await self._lister.answered(page, response))

    async def page_failed(self, failure: Failure) -> None:
        """Ask for what the listing wants after a transfer that failed."""
        page = failure.request.cb_kwargs["page"]  # type: ignore[attr-defined]
        assert failure.value is not None
        with self.run.ends_by_errors():
            await self._go_on(await self._lister.failed(page, failure.value))

    async def _go_on(self, page: PageRequest | None) -> None:
        if page:
            self.crawler.engine.crawl(self._page_request(page))
        elif not self._lister.open:
            await self._ends_to_be_cut()

    async def _ends_to_be_cut(self) -> bool:
        """End the run where all is listed, and what is wanted still is for slices; say whether."""
        opened = self.run.collection
        is_large = await self.run.ledger.ask(partial(may_be_cut, opened))
        if is_large:
            limit = f"SLICE_IMAGES={opened.configuration.slice_images}"
            self.run.wind_down(limit, Outcome.CUT)
        elif opened.arguments.cut:
            self._start_upload()  # now that no slice may want what is to be sent
        return is_large

    def _start_upload(self) -> None:
        upload = self.run.upload
        if upload and not self.run.collection.updating:  # it lies in two folders
            upload.start()

    # Feeder

    async def feed(self, response: Response) -> AsyncIterator[ImageItem]:
        """Yield what the ledger says is due, until nothing can become due any more."""
        with self.run.ends_by_errors():
            if self.run.sealing:
                self.run.sealing.start()
            async for item in Feeder(self.run, self._lister).items():
                yield item

    def not_fed(self, failure: Failure) -> None:
        """Let a run that was stopped as it began end without an error; nothing else fails here."""
        assert isinstance(failure.value, RunStopped), failure.value


def _open(settings: Settings, arguments: Mapping[str, Any]) -> OpenCollection:
    """Check all that the command would, and open the collection; raises what is refused."""
    for line in misspelt(set(settings) - set(dir(default_settings)), os.environ):
        logger.warning("%s", line)
    try:
        check_scrapy_settings(settings)
        read_token(os.environ)
        read_on_end(settings)
        configuration = read_configuration(settings, os.environ)
        asked = validated(arguments)
        if asked.upload and asked.slice_number is None:
            from mapillary_crawler.crawl.rolling_upload import check_upload  # noqa: PLC0415

            check_upload(settings)
        return open_for_crawl(asked, configuration)
    except ArgumentRefused as error:
        if arguments:
            raise
        raise SpiderRefused(str(error)) from None
