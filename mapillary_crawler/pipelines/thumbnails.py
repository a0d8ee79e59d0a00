"""Fetches the bytes of an image and checks that they are whole, on Scrapy's ImagesPipeline."""

from __future__ import annotations

import hashlib
import logging
import random
from dataclasses import replace
from functools import partial
from typing import ClassVar, Self

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.pipelines.images import ImagesPipeline
from scrapy.pipelines.media import MediaPipeline

from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl import clock
from mapillary_crawler.crawl.acceptance import accept
from mapillary_crawler.crawl.client import retry_after_of
from mapillary_crawler.crawl.failures import (
    Refusal,
    TransferFailed,
    UrlRefused,
    failure,
    is_gone,
    refuse_status,
)
from mapillary_crawler.crawl.gone import DISTRUST
from mapillary_crawler.crawl.inherited_settings import IMAGES_PIPELINE, warn_of
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.crawl.transfer import bodies
from mapillary_crawler.crawl.transfer.slots import IMAGES
from mapillary_crawler.image.inspection import (
    DamagedImage,
    NotAnImage,
    NotJudged,
    judge,
    most_pixels,
)
from mapillary_crawler.image.inspector import Inspector
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.records import Source

logger = logging.getLogger(__name__)


class _NoStore:
    """Scrapy's pipeline keeps files in a store; here they travel on with the item."""

    def __init__(self, uri: str) -> None:
        pass


class ThumbnailsPipeline(ImagesPipeline):
    """Puts the bytes as served on the item, or reports to the ledger why there are none.

    The bytes are kept as they came: Scrapy's own pipeline re-encodes them (2.14 and later).
    """

    STORE_SCHEMES: ClassVar[dict[str, type]] = {"item": _NoStore}

    def __init__(self, crawler: Crawler) -> None:
        super().__init__("item:", crawler=crawler)
        self._run = run_of(crawler)
        quality = self._quality = self._run.collection.collection.quality
        warn_of(IMAGES_PIPELINE, crawler.settings, "images are kept as served")
        self._timeout = bodies.SECONDS[quality]
        maxsize = crawler.settings.getint("DOWNLOAD_MAXSIZE")
        self._most_bytes = bodies.most_bytes(quality, maxsize)
        configuration = self._run.collection.configuration
        walked = partial(judge, walk=configuration.jpeg_walk)
        self._inspector = Inspector(walked, configuration.processors)
        self._budget = self._run.budget
        self._throttle = self._run.throttle
        self._taken: dict[int, int] = {}
        self._random = random.Random()
        self._most_attempts = configuration.image_attempts
        for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
            crawler.signals.connect(self._item_left, signal=signal)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the pipeline without any of Scrapy's stores."""
        return cls(crawler)

    async def process_item(self, item: ImageItem) -> ImageItem:  # type: ignore[override]
        """Fetch and check; raises `DropItem` once the ledger knows why there is no image."""
        if not self._run.stopping.is_set():
            self._taken[item.number] = await self._budget.take()
        if self._run.stopping.is_set():
            raise DropItem(str(RunStopped()))
        try:
            await self._fetch(item)
        except Exception as trouble:  # noqa: BLE001  whatever it is, the ledger must know
            await self._report(item, trouble)
        return item

    async def _fetch(self, item: ImageItem) -> None:
        """Put the bytes on the item; raises what is wrong with them, or with the transfer.

        Scrapy's own `process_item` keeps every result, compares fingerprints and wakes those
        that wait for the same file. Here each file has one item, and the ledger remembers.
        """
        (request,) = self.get_media_requests(item, self.spiderinfo)
        try:
            response = await self.crawler.engine.download_async(request)
            await self._check(item, response)
        except (RunStopped, Refusal, UrlRefused, NotAnImage, DamagedImage, NotJudged):
            raise
        except Exception as error:  # whatever ended the transfer
            raise TransferFailed(type(error).__name__) from error

    def get_media_requests(self, item: ImageItem, info: MediaPipeline.SpiderInfo) -> list[Request]:
        """Return the one request, whose signed URL must not be changed in any way."""
        request = Request(
            item.url,
            callback=NO_CALLBACK,
            meta={
                "verbatim_url": True,
                "handle_httpstatus_all": True,
                "download_slot": IMAGES,
                "download_timeout": self._timeout * (item.attempts + 1),
                "download_maxsize": self._most_bytes,
                "item": item,
            },
        )
        return [request]

    async def _check(self, item: ImageItem, response: Response) -> None:
        """Check the body off the reactor's thread and put it on the item."""
        body = response.body
        self._taken[item.number] = self._budget.correct(
            self._taken[item.number], len(body) * bodies.COPIES
        )
        wait = retry_after_of(response) if response.status != 200 else None
        refuse_status(response.status, body, wait)
        row = item.metadata
        most = most_pixels(self._quality, row.get("width"), row.get("height"))
        verdict = await self._inspector(body, most)
        try:
            verdict.check()
            await accept(self._run, item, verdict, response)
        except DamagedImage:
            item.body = body
            raise
        item.body = body
        item.sha256_served = verdict.sha256
        item.width, item.height = verdict.width, verdict.height
        await self._run.gone.prove(Source.CDN)

    async def _report(self, item: ImageItem, trouble: Exception) -> None:
        """Give the ledger the outcome of a failed attempt; raises `DropItem`.

        A damaged body that the ledger has come to believe passes on as it is.
        """
        if isinstance(trouble, RunStopped):
            raise DropItem(str(trouble))
        said_gone = is_gone(trouble, fresh=item.fresh)
        if said_gone and await self._is_believed(item):
            raise DropItem("gone")
        if item.body and await self._is_damaged_at_source(item):
            return
        item.body = b""
        failed = failure(
            item.number,
            trouble,
            attempts=item.attempts,
            most_attempts=self._most_attempts,
            now=clock.now(),
            fresh=item.fresh,
            outage=self._throttle is not None and self._throttle.is_outage(),
            random=self._random,
        )
        if said_gone:
            failed = replace(failed, retry_at=max(failed.retry_at, clock.now() + DISTRUST))
        logger.debug("Image %s: %s", item.image_id, failed.error)
        self.crawler.stats.inc_value(f"images/trouble/{type(trouble).__name__}")
        await self._run.ledger.ask(lambda ledger: ledger.queue.fail([failed]))
        raise DropItem(failed.error)

    async def _is_believed(self, item: ImageItem) -> bool:
        """Settle an image that the CDN says is gone, unless that is not believed."""
        try:
            return await self._run.gone.believe(Source.CDN, item.number)
        except RunStopped as stop:
            raise DropItem(str(stop)) from None

    async def _is_damaged_at_source(self, item: ImageItem) -> bool:
        """Note a damaged body; where it is the source's, let it pass as served."""
        if await self._run.ledger.ask(lambda ledger: ledger.stays_damaged(item.number)):
            raise DropItem("damaged, as it was before")
        digest = hashlib.sha256(item.body).digest()
        run_number = self._run.collection.run_number
        believed = await self._run.ledger.ask(
            lambda ledger: ledger.queue.damaged(
                item.number, digest, fresh=item.fresh, run=run_number
            )
        )
        if believed:
            logger.warning("Image %s is damaged at the source; stored as served", item.image_id)
            item.damaged, item.sha256_served = True, digest
        return believed

    def _item_left(self, item: ImageItem) -> None:
        """Give back the bytes of an item that has left the pipelines, whichever way."""
        taken = self._taken.pop(item.number, None)
        if taken is not None:
            self._budget.give_back(taken)
