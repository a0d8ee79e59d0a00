"""Fresh URLs for images whose own have expired, were refused or never were."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any

from mapillary_crawler.collection.names import image_id
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl import clock
from mapillary_crawler.crawl.gone import DISTRUST, WITNESSES
from mapillary_crawler.crawl.lister import IDLE_PAGES
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.graph.backoff import full_jitter
from mapillary_crawler.graph.patience import PAGES
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DueImage, FailedAttempt, Source, State

logger = logging.getLogger(__name__)

#: Seconds before its `oe` from which a URL is not used any more.
_MARGIN = 600
#: Expired URLs beyond which listing again is cheaper than asking by id (2,000 a request).
_MANY_EXPIRED = 2000
#: Seconds between two times of listing again.
_LISTED_AGAIN_EACH = 3600
#: Seconds for which images gather that need a URL, since 50 cost as much as one.
_GATHERING = 0.3
#: Seconds for which it is known whether images are given URLs at all: about a batch.
_COLUMN_KNOWN = 0.5


def is_stale(image: DueImage) -> bool:
    """Say whether the service must be asked for another URL.

    A fresh one is used whatever its `oe` says, so a wrong clock costs one request.
    """
    if image.url is None:
        return True
    return not image.fresh and (image.expires or math.inf) < time.time() + _MARGIN


class StaleImages:
    """Images that wait for a URL, first come, first served."""

    def __init__(self) -> None:
        self._images: deque[DueImage] = deque()

    def __len__(self) -> int:
        return len(self._images)

    def put(self, image: DueImage) -> None:
        """Have an image wait."""
        self._images.append(image)

    def take(self, most: int) -> list[DueImage]:
        """Return up to `most` images, which wait no more."""
        return [self._images.popleft() for _ in range(min(most, len(self._images)))]


class FreshUrls:
    """Asks the API for the URLs of stale images, which go back to the queue with them."""

    def __init__(self, run: Run, stale: StaleImages) -> None:
        self._run = run
        self._collection = run.collection.collection
        self._configuration = run.collection.configuration
        self._client = run.client
        self._stale = stale
        self._random = Random()
        self._listed_again_at = -math.inf
        self._column_there: bool | None = None
        self._column_known_until = -math.inf

    async def refresh(self) -> None:
        """Ask for the URLs of all stale images, by listing again where they are many."""
        await self._run.sleep(_GATHERING)
        if time.monotonic() - self._listed_again_at > _LISTED_AGAIN_EACH:
            expired = await self._run.ledger.ask(
                lambda ledger: ledger.queue.expired(time.time() + _MARGIN)
            )
            if expired > _MANY_EXPIRED:
                if self._run.collection.gives_back:
                    await self._give_back(expired)
                self._listed_again_at = time.monotonic()
                await self._list_again(expired)
                return
        while self._stale and not self._run.closing():
            await self._refresh_batch(self._stale.take(graph_api.BATCH_IDS))

    async def _give_back(self, expired: int) -> None:
        """End the crawl of a slice: one listing of the user serves all slices."""
        await self._run.ledger.ask(lambda ledger: ledger.slices.set_wants_urls())
        raise EndOfRun(
            Outcome.INTERRUPTED,
            f"{expired:,} URLs of the slice have expired; -a cut=1 renews those of all slices",
        )

    async def renew_whole(self) -> None:
        """Renew the URLs of a collection that is cut, for its slices to take."""
        expired = await self._run.ledger.ask(
            lambda ledger: ledger.queue.expired(time.time() + _MARGIN)
        )
        await self._list_again(expired)
        await self._run.ledger.ask(lambda ledger: ledger.slices.set_renewed())

    async def _put_back_stale(self) -> None:
        """Give what is stale back to the queue, which draws those of them that are renewed."""
        numbers = [image.number for image in self._stale.take(len(self._stale))]
        await self._run.ledger.ask(lambda ledger: ledger.queue.put_back(numbers))

    async def _list_again(self, expired: int) -> None:
        """Go through the user's pages for their URLs alone; ids not known are left alone.

        What a page has renewed is fetched while the next one is asked for.
        """
        logger.info("%d URLs have expired; listing again for fresh ones", expired)
        await self._put_back_stale()
        cursor: str | None = None
        been: set[str | None] = set()
        before: list[str | None] = []
        idle = 0
        while not self._run.closing() and cursor not in been:
            limit = self._client.patience.page_rows
            url = graph_api.page_url(
                self._configuration.api_url,
                self._collection,
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
            await self._renew(page.rows)
            await self._put_back_stale()
            if page.following is None:
                return
            ids = list(map(graph_rows.row_id, page.rows))
            idle = idle + 1 if not ids or ids == before else 0
            if idle >= IDLE_PAGES:
                logger.warning("Listing again brings nothing new; URLs are asked for by id")
                return
            before = ids
            been.add(cursor)
            cursor = page.following

    async def _renew(self, page: Sequence[Any]) -> None:
        rows = [graph_rows.listed_row(row, self._collection) for row in page]
        known = [row for row in rows if row is not None]
        by_day = self._run.collection.arguments.remove

        def renew(ledger: Ledger) -> None:
            numbers = ledger.listing.renew(known)
            if not by_day:  # days are to be done one after another, for what is done to make room
                ledger.queue.renewed(numbers)

        await self._run.ledger.ask(renew)

    def _fields(self) -> tuple[str, ...]:
        return ("id", graph_api.thumb_field(self._collection.quality))

    async def _refresh_batch(self, batch: list[DueImage]) -> None:
        """Ask for one batch; what the answer does not name is asked for one by one."""
        plain = [image for image in batch if image.image_id.isdecimal()]
        alone = [image for image in batch if not image.image_id.isdecimal()]
        if len(plain) == 1:
            alone += plain
        elif plain:
            url = graph_api.batch_url(
                self._configuration.api_url,
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
            if self._run.closing():
                return
            await self._answered(image, await self._ask_of(image.image_id, self._fields()))

    async def _is_column_there(self) -> bool | None:
        """Say whether an image that had a URL is given one; None where no such image is known.

        Graph API: a column can be missing from whole answers.
        """
        if time.monotonic() < self._column_known_until:
            return self._column_there
        self._column_there = None
        some = await self._run.ledger.ask(lambda ledger: ledger.images.some_saved(WITNESSES))
        for known in some:
            answer = await self._ask_of(known, self._fields())
            if answer.meaning is Meaning.DATA:
                self._column_there = self._url(answer.data) is not None
                break
        self._column_known_until = time.monotonic() + _COLUMN_KNOWN
        return self._column_there

    def _url(self, entity: Any) -> str | None:
        """Return the URL that an answer gives of an image, None if it gives none."""
        field_name = graph_api.thumb_field(self._collection.quality)
        return graph_rows.image_url(entity.get(field_name)) if isinstance(entity, dict) else None

    async def _answered(self, image: DueImage, answer: Answer) -> None:
        """Give the ledger what the service says of one image.

        An answer that is empty in silence says nothing: the image has a URL at this quality
        or none only by an answer that names the image, while others are given theirs. One that
        had a URL before must be named without one as often as an image is tried, in a row.
        """
        last = image.attempts + 1 >= self._configuration.image_attempts
        run, number = self._run, image.number
        says_none = False
        if answer.meaning is Meaning.DATA and image_id(answer.data.get("id")) != image.image_id:
            answer = Answer(Meaning.RETRY, "an answer that does not name the image")
        if answer.meaning is Meaning.DATA:
            await run.gone.prove(Source.API)
            url = self._url(answer.data)
            if url is not None:
                fresh = {number: (url, graph_rows.url_expiry(url))}
                await run.ledger.ask(lambda ledger: ledger.queue.renew(fresh))
                return
            there = await self._is_column_there()
            says_none = there is not False
            often = image.without_url + 1 >= max(2, self._configuration.image_attempts)
            if says_none and (often or (there and not image.had_url)):
                await run.ledger.ask(lambda ledger: ledger.settle([number], State.UNAVAILABLE))
                logger.debug("Image %s is unavailable", image.image_id)
                return
            answer = Answer(Meaning.RETRY, "no URL at this quality, which is not believed yet")
        if answer.meaning is Meaning.GONE and await run.gone.believe(Source.API, number):
            logger.debug("Image %s is gone", image.image_id)
        else:
            gone = answer.meaning is Meaning.GONE
            wait = DISTRUST if gone else full_jitter(image.attempts, 1.0, DISTRUST, self._random)
            retry_at = math.inf if last else clock.now() + wait
            failed = FailedAttempt(number, answer.message, retry_at, without_url=says_none)
            await run.ledger.ask(lambda ledger: ledger.queue.fail([failed]))

    async def _ask_of(self, image_id: str, fields: tuple[str, ...]) -> Answer:
        url = graph_api.entity_url(self._configuration.api_url, image_id, fields)
        return await self._client.ask(url)
