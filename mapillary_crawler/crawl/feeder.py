"""The one feeder: draws due images from the ledger, and has stale URLs made fresh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from mapillary_crawler.crawl.fresh_urls import FreshUrls
from mapillary_crawler.crawl.gone import Gone
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.records import DueImage

#: Images drawn from the ledger at once.
_DRAWN = 256
#: Seconds between two looks at the queue while nothing is due.
_LOOK_AGAIN = 0.1


@dataclass
class Feeder:
    """Yields what is wanted and due, until nothing can become due any more.

    `listing_open` says whether more images may still be listed, `closing` whether the run
    is being stopped; `sleep` raises `RunStopped` then. `cdn_gone` is what the CDN says is
    gone.
    """

    staging: OpenCollection
    listing_open: Callable[[], bool]
    closing: Callable[[], bool]
    sleep: Callable[[float], Awaitable[None]]
    fresh_urls: FreshUrls
    cdn_gone: Gone

    async def items(self) -> AsyncIterator[ImageItem]:
        """Yield image items as fast as they are taken; raises `EndOfRun`."""
        queue, call = self.staging.ledger.queue, self.staging.thread.call
        fresh_urls = self.fresh_urls
        refreshing: asyncio.Future[None] | None = None
        try:
            while not self.closing():
                if refreshing and refreshing.done():
                    refreshing.result()
                    refreshing = None
                if fresh_urls.stale and refreshing is None:
                    refreshing = asyncio.ensure_future(fresh_urls.refresh())
                room = len(fresh_urls.stale) < _DRAWN
                due = await call(queue.draw, time.time(), _DRAWN) if room else []
                for image in due:
                    if fresh_urls.is_stale(image):
                        fresh_urls.stale.append(image)
                    else:
                        yield image_item(image)
                if not due and not await self._more_to_come(refreshing):
                    return
        finally:
            if refreshing:
                refreshing.cancel()
                await asyncio.gather(refreshing, return_exceptions=True)

    async def _more_to_come(self, refreshing: asyncio.Future[None] | None) -> bool:
        """Wait a moment; say whether anything can still become due in this run.

        The ledger is asked in one step, and last: what failed between two looks is due again.
        """
        queue, call = self.staging.ledger.queue, self.staging.thread.call
        nothing_comes = refreshing is None and not self.listing_open()
        if nothing_comes and await call(queue.at_rest):
            api_proven = await self.fresh_urls.gone.ends_proven()
            return not (api_proven and await self.cdn_gone.ends_proven())
        await self.sleep(_LOOK_AGAIN)
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
