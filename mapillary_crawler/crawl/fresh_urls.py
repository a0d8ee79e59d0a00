"""Fresh URLs for images whose own have expired, were refused or never were."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from mapillary_crawler.collection.names import image_id
from mapillary_crawler.crawl.client import GraphClient
from mapillary_crawler.crawl.gone import DISTRUST, WITNESSES, Gone
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.graph.backoff import full_jitter
from mapillary_crawler.graph.patience import PAGES
from mapillary_crawler.ledger.records import DueImage, FailedAttempt, Source, State

logger = logging.getLogger(__name__)

#: Seconds before its `oe` from which a URL is not used any more.
_MARGIN = 600
#: Expired URLs beyond which listing again is cheaper than asking by id (2,000 a request).
_MANY_EXPIRED = 2000
#: Seconds for which images gather that need a URL, since 50 cost as much as one.
_GATHERING = 0.3
#: Seconds for which it is known whether images are given URLs at all: about a batch.
_COLUMN_KNOWN = 0.5


class FreshUrls:
    """Asks the API for the URLs of `stale` images, which go back to the queue with them.

    `closing` says whether the run is being stopped; `sleep` raises `RunStopped` then.
    `gone` is what the API says is.
    """

    def __init__(
        self,
        staging: OpenCollection,
        client: GraphClient,
        closing: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._staging = staging
        self._client = client
        self._closing = closing
        self._sleep = sleep
        self._random = Random()
        self._listed_again_at = -math.inf
        self._column_there: bool | None = None
        self._column_known_until = -math.inf
        self.stale: list[DueImage] = []
        self.gone = Gone(staging, Source.API, self._is_there)

    @staticmethod
    def is_stale(image: DueImage) -> bool:
        """Say whether the service must be asked for another URL.

        A fresh one is used whatever its `oe` says, so a wrong clock costs one request.
        """
        if image.url is None:
            return True
        return not image.fresh and (image.expires or math.inf) < time.time() + _MARGIN

    async def refresh(self) -> None:
        """Ask for the URLs of all stale images, by listing again where they are many."""
        await self._sleep(_GATHERING)
        call = self._staging.thread.call
        expired = await call(self._staging.ledger.queue.expired, time.time() + _MARGIN)
        if expired > _MANY_EXPIRED and time.monotonic() - self._listed_again_at > 3600:
            self._listed_again_at = time.monotonic()
            await self._put_back_stale()
            await self._list_again(expired)
            return
        while self.stale and not self._closing():
            batch = self.stale[: graph_api.BATCH_IDS]
            del self.stale[: graph_api.BATCH_IDS]
            await self._refresh_batch(batch)

    async def _put_back_stale(self) -> None:
        """Give what is stale back to the queue, which draws those of them that are renewed."""
        numbers = [image.number for image in self.stale]
        self.stale.clear()
        await self._staging.thread.call(self._staging.ledger.queue.put_back, numbers)

    async def _list_again(self, expired: int) -> None:
        """Go through the user's pages for their URLs alone; ids not known are left alone.

        What a page has renewed is fetched while the next one is asked for.
        """
        logger.info("%d URLs have expired; listing again for fresh ones", expired)
        collection, cursor = self._staging.collection, None
        been: set[str | None] = set()
        while not self._closing() and cursor not in been:
            limit = self._client.patience.page_rows
            url = graph_api.page_url(
                self._staging.configuration.api_url,
                collection,
                self._fields(),
                cursor=cursor,
                limit=limit,
            )
            answer = await self._client.ask(
                url, of_many=True, with_cursor=cursor is not None, subject=PAGES
            )
            if answer.meaning is Meaning.ASK_FOR_LESS:
                continue
            if answer.meaning is not Meaning.DATA:
                return
            try:
                page = graph_api.read_page(answer.data, limit)
            except graph_api.MalformedPage:
                return
            self._client.patience.page_succeeded()
            rows = [graph_rows.listed_row(row, collection) for row in page.rows]
            known = [row for row in rows if row is not None]
            await self._staging.thread.call(self._staging.ledger.listing.renew, known)
            await self._put_back_stale()
            if page.following is None:
                return
            been.add(cursor)
            cursor = page.following

    def _fields(self) -> tuple[str, ...]:
        return ("id", graph_api.thumb_field(self._staging.collection.quality))

    async def _refresh_batch(self, batch: list[DueImage]) -> None:
        """Ask for one batch; what the answer does not name is asked for one by one."""
        plain = [image for image in batch if image.image_id.isdecimal()]
        alone = [image for image in batch if not image.image_id.isdecimal()]
        if len(plain) == 1:
            alone += plain
        elif plain:
            url = graph_api.batch_url(
                self._staging.configuration.api_url,
                [image.image_id for image in plain],
                self._fields(),
            )
            answer = await self._client.ask(url, of_many=True)
            if answer.meaning is Meaning.ASK_FOR_LESS:
                half = len(plain) // 2
                await self._refresh_batch(plain[:half])
                await self._refresh_batch(plain[half:] + alone)
                return
            found = answer.data if answer.meaning is Meaning.DATA else {}
            for image in plain:
                entity = found.get(image.image_id)
                if isinstance(entity, dict) and "error" not in entity:
                    await self._answered(image, Answer(Meaning.DATA, data=entity))
                else:
                    alone.append(image)
        for image in alone:
            if self._closing():
                return
            await self._answered(image, await self._ask_of(image.image_id, self._fields()))

    async def _is_column_there(self) -> bool | None:
        """Say whether an image that had a URL is given one; None where no such image is known.

        Graph API: a column can be missing from whole answers.
        """
        if time.monotonic() < self._column_known_until:
            return self._column_there
        ledger, call = self._staging.ledger, self._staging.thread.call
        self._column_there = None
        for known in await call(ledger.images.some_saved, WITNESSES):
            answer = await self._ask_of(known, self._fields())
            if answer.meaning is Meaning.DATA:
                self._column_there = self._url(answer.data) is not None
                break
        self._column_known_until = time.monotonic() + _COLUMN_KNOWN
        return self._column_there

    def _url(self, entity: Any) -> str | None:
        """Return the URL that an answer gives of an image, None if it gives none."""
        field_name = graph_api.thumb_field(self._staging.collection.quality)
        return graph_rows.image_url(entity.get(field_name)) if isinstance(entity, dict) else None

    async def _answered(self, image: DueImage, answer: Answer) -> None:
        """Give the ledger what the service says of one image.

        An answer that is empty in silence says nothing: the image has a URL at this quality
        or none only by an answer that names the image, while others are given theirs. One that
        had a URL before is asked for as often as one that fails.
        """
        last = image.attempts + 1 >= self._staging.configuration.image_attempts
        ledger, call = self._staging.ledger, self._staging.thread.call
        if answer.meaning is Meaning.DATA and image_id(answer.data.get("id")) != image.image_id:
            answer = Answer(Meaning.RETRY, "an answer that does not name the image")
        if answer.meaning is Meaning.DATA:
            await self.gone.prove()
            url = self._url(answer.data)
            if url is not None:
                await call(ledger.queue.renew, {image.number: (url, graph_rows.url_expiry(url))})
                return
            there = await self._is_column_there()
            if (there and image.expires is None) or (last and there is not False):
                await call(ledger.settle, [image.number], State.UNAVAILABLE)
                logger.debug("Image %s is unavailable", image.image_id)
                return
            answer = Answer(Meaning.RETRY, "no URL at this quality, which is not believed yet")
        if answer.meaning is Meaning.GONE and await self.gone.believe(image.number):
            logger.debug("Image %s is gone", image.image_id)
        else:
            gone = answer.meaning is Meaning.GONE
            wait = DISTRUST if gone else full_jitter(image.attempts, 1.0, DISTRUST, self._random)
            retry_at = math.inf if last else time.time() + wait
            await call(ledger.queue.fail, [FailedAttempt(image.number, answer.message, retry_at)])

    async def _is_there(self, image_id: str) -> bool:
        """Say whether the service still names an image."""
        return (await self._ask_of(image_id, ("id",))).meaning is Meaning.DATA

    async def _ask_of(self, image_id: str, fields: tuple[str, ...]) -> Answer:
        url = graph_api.entity_url(self._staging.configuration.api_url, image_id, fields)
        return await self._client.ask(url)
