"""The one feeder: draws due images from the ledger, and has stale URLs made fresh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from mapillary_crawler.crawl import clock
from mapillary_crawler.crawl.fresh_urls import FreshUrls, StaleImages, is_stale
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.records import DueImage

#: Images drawn from the ledger at once.
_DRAWN = 256
#: Seconds between two looks at the queue while nothing is due.
_LOOK_AGAIN = 0.1


class Listing(Protocol):
    """What the feeder has to know of the listing."""

    @property
    def open(self) -> bool:
        """Whether more images may still be listed."""

    @property
    def holds_images(self) -> bool:
        """Whether no image is to be drawn now, though some are listed."""


@dataclass
class Feeder:
    """Yields what is wanted and due, until nothing can become due any more."""

    run: Run
    listing: Listing

    async def items(self) -> AsyncIterator[ImageItem]:
        """Yield image items as fast as they are taken; raises `EndOfRun`, `RunStopped`."""
        stale = StaleImages()
        fresh_urls = FreshUrls(self.run, stale)
        refreshing: asyncio.Future[None] | None = None
        try:
            while not self.run.closing():
                if refreshing and refreshing.done():
                    refreshing.result()
                    refreshing = None
                if stale and refreshing is None:
                    refreshing = asyncio.ensure_future(fresh_urls.refresh())
                due = await self._draw(only_renewed=len(stale) >= _DRAWN)
                for image in due:
                    if is_stale(image):
                        stale.put(image)
                    else:
                        yield image_item(image)
                if not due and not await self._more_to_come(refreshing):
                    return
        finally:
            if refreshing:
                refreshing.cancel()
                await asyncio.gather(refreshing, return_exceptions=True)

    async def _draw(self, *, only_renewed: bool) -> list[DueImage]:
        """Return what is to be fetched next: what has got its URL since, then by day.

        While more may be listed, the days are not known: then it comes as it was listed, or not
        at all where days are to be removed as they are done.
        """
        is_open, room = self.listing.open, self.run.room
        if self.listing.holds_images:
            return []
        if room:
            return [] if is_open else await room.draw(_DRAWN, only_renewed=only_renewed)

        return await self.run.ledger.ask(
            lambda ledger: ledger.queue.draw_next(
                clock.now(), _DRAWN, by_day=not is_open, only_renewed=only_renewed
            )
        )

    async def _more_to_come(self, refreshing: asyncio.Future[None] | None) -> bool:
        """Wait a moment; say whether anything can still become due in this run.

        The ledger is asked in one step, and last: what failed between two looks is due again.
        """
        nothing_comes = refreshing is None and not self.listing.open
        if nothing_comes and await self.run.ledger.ask(lambda ledger: ledger.queue.at_rest()):
            return not await self.run.gone.ends_proven()
        await self.run.sleep(_LOOK_AGAIN)
        return True


def image_item(image: DueImage) -> ImageItem:
    """Return the item of an image that has a URL."""
    assert image.url is not None
    return ImageItem(
        number=image.number,
        image_id=image.image_id,
        url=image.url,
        metadata=image.metadata,
        captured_at=image.captured_at,
        day=image.day,
        sequence=image.sequence,
        attempts=image.attempts,
        fresh=image.fresh,
    )
