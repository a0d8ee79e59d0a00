"""The base of the stages that replace the JPEG by another format, and no stage itself."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from scrapy.exceptions import DropItem, NotConfigured

from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl import clock
from mapillary_crawler.crawl.encoding import JxlEncoding, WebpEncoding
from mapillary_crawler.crawl.failures import failure
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.image.encoders import EncodeInterrupted, NotEncoded
from mapillary_crawler.terminal.warnings_once import WarningsOnce

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.items import ImageItem

logger = logging.getLogger(__name__)

#: Seconds that an encoder may take at first, as many more at each further attempt; the largest
#: panoramas take some ten.
TIMEOUT = 120.0


class EncodingPipeline(ABC):
    """Replaces the JPEG, as many at once as PROCESSORS says.

    What cannot be encoded keeps its JPEG, counted in `{extension}/kept_jpeg/…` and named in
    the log. An encode that was interrupted or took too long decides nothing, since a busy machine
    makes the same collection as another: its item is dropped, and the image becomes due again.
    """

    #: Of the files that it makes.
    extension: ClassVar[str]

    #: How a collection is encoded that has this stage.
    encoding: ClassVar[type[WebpEncoding | JxlEncoding]]

    def __init__(
        self, crawler: Crawler, encoding: WebpEncoding | JxlEncoding, *, timeout: float = TIMEOUT
    ) -> None:
        self._run = run_of(crawler)
        self._encoder = encoding.encoder
        self._stats = crawler.stats
        self._timeout = timeout
        self._slots = asyncio.Semaphore(self._run.collection.configuration.processors)
        self._ended = False
        self._random = Random()
        self._warnings = WarningsOnce(logger)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Take the encoder that the ledger has fixed; not configured for another format."""
        run = run_of(crawler)
        if not isinstance(run.collection.encoding, cls.encoding):
            raise NotConfigured
        pipeline = cls(crawler, run.collection.encoding)
        run.on_stop(pipeline.kill_children)
        return pipeline

    @abstractmethod
    async def encode(self, item: ImageItem, seconds: float) -> bytes:
        """Return the item's body, encoded and checked, within so many seconds.

        Raises `NotEncoded`, `EncodeInterrupted`. As many are asked for at once as there are slots.
        """

    @abstractmethod
    def refuse(self, item: ImageItem) -> None:
        """Raise `NotEncoded` for an image that the format cannot hold."""

    @abstractmethod
    def end_encoders(self) -> None:
        """End what is running."""

    async def process_item(self, item: ImageItem) -> ImageItem:
        """Encode the body; raises `DropItem` if the encode was interrupted."""
        if item.damaged or item.bare:
            return item
        self._run.encoding += 1
        try:
            encoded = await self._encode(item)
        except EncodeInterrupted as trouble:
            await self._report(item, trouble)
            raise DropItem(str(trouble)) from trouble
        except NotEncoded as error:
            if self._stopping():
                raise DropItem(str(RunStopped())) from error
            self._stats.inc_value(f"{self.extension}/kept_jpeg/{error.reason}")
            self._warnings.note(f"JPEG kept, {error.reason}", f"{item.image_id}: {error}")
            return item
        finally:
            self._run.encoding -= 1
        self.replace_body(item, encoded)
        self._stats.inc_value(f"{self.extension}/encoded")
        return item

    def replace_body(self, item: ImageItem, encoded: bytes) -> None:
        """Put what was encoded on the item."""
        item.body, item.extension = encoded, self.extension

    async def _encode(self, item: ImageItem) -> bytes:
        self.refuse(item)
        async with self._slots:
            if self._stopping():
                raise DropItem(str(RunStopped()))
            return await self.encode(item, self._timeout * (item.attempts + 1))

    def kill_children(self) -> None:
        """End the encoders that are running and begin no more; their items are dropped."""
        self._ended = True
        self.end_encoders()

    def close_spider(self) -> None:
        """End what is still running, and log how many JPEGs were kept."""
        self.kill_children()
        self._warnings.summary()

    def _stopping(self) -> bool:
        return self._ended or self._run.stopping.is_set()

    async def _report(self, item: ImageItem, trouble: EncodeInterrupted) -> None:
        """Let the ledger make the image due again, unless the run ends anyway."""
        if self._stopping():
            return
        self._warnings.note("encoder interrupted, too slow or not started", str(trouble))
        failed = failure(
            item.number,
            trouble,
            attempts=item.attempts,
            most_attempts=self._run.collection.configuration.image_attempts,
            now=clock.now(),
            fresh=item.fresh,
            outage=False,
            random=self._random,
        )
        await self._run.ledger.ask(lambda ledger: ledger.queue.fail([failed]))
