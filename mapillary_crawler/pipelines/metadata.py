"""The base of the two stages that write metadata, and no stage itself."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from asyncio import to_thread
from typing import TYPE_CHECKING, ClassVar, Self

from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.image import jpeg
from mapillary_crawler.ledger.records import Bare
from mapillary_crawler.terminal.warnings_once import WarningsOnce

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.statscollectors import StatsCollector

    from mapillary_crawler.items import ImageItem

logger = logging.getLogger(__name__)

#: Bytes of a file's own EXIF and XMP from which on it is not parsed on the reactor's thread.
_LARGE = 8_192


class MetadataPipeline(ABC):
    """Replaces the body by one with metadata; under a millisecond, so on the reactor thread.

    But for a file whose own metadata is large: hostile XMP of 50 KB takes 0.2 s to parse.

    An image that cannot take it goes on without, and is neither given other metadata nor
    encoded; it is counted in `metadata/{kind}_failed/…`, and named in bare.jsonl. A damaged
    image and one in another format stay as they are.
    """

    kind: ClassVar[str]

    def __init__(self, stats: StatsCollector, username: str) -> None:
        self.username = username
        self._stats = stats
        self._warnings = WarningsOnce(logger)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Take the true user name from the run's collection."""
        return cls(crawler.stats, run_of(crawler).collection.collection.username)

    @abstractmethod
    def write(self, item: ImageItem) -> jpeg.Written:
        """Return the item's body with metadata; raise `jpeg.JpegError` if it cannot be."""

    async def process_item(self, item: ImageItem) -> ImageItem:
        """Write the metadata, count it, and name the first image of each trouble."""
        if item.damaged or item.bare:
            return item
        try:
            large = app1_bytes(item.body) > _LARGE
            item.body, troubles = await to_thread(self.write, item) if large else self.write(item)
        except jpeg.JpegError as error:
            self._stats.inc_value(f"metadata/{self.kind}_failed/{error}")
            cause = f"No {self.kind.upper()} written: {error}"
            self._warnings.note(cause, f"image {item.image_id}")
            item.bare = Bare.NO_PLACE
            return item
        self._stats.inc_value(f"metadata/{self.kind}_written")
        for trouble in troubles:
            self._stats.inc_value(f"metadata/{self.kind}_trouble/{trouble}")
            self._warnings.note(trouble, f"image {item.image_id}")
        return item

    def close_spider(self) -> None:
        """Log how often each trouble happened."""
        self._warnings.summary()


def app1_bytes(body: bytes) -> int:
    """Return how many bytes the APP1 segments in front of a JPEG's scan have, at most.

    Where stray bytes stand between segments they may be any of those behind.
    """
    size, place = 0, 2
    while body[place : place + 1] == b"\xff" and (marker := body[place + 1 : place + 2]) != b"\xda":
        length = int.from_bytes(body[place + 2 : place + 4], "big")
        size += length if marker == b"\xe1" else 0
        place += 2 + length
    return size if body[place : place + 2] == b"\xff\xda" else len(body)
