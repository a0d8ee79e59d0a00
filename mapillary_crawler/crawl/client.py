"""Asks the Graph API with patience: requests, back-off and ends of a run in one place."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadCancelledError, DownloadTimeoutError, IgnoreRequest
from scrapy.http import Response

from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.collection.token import secrets_of
from mapillary_crawler.crawl.fleet_pace import FleetPace
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.downloader import downloader_of
from mapillary_crawler.graph.answers import MOST_BYTES, Answer, Meaning, read_answer
from mapillary_crawler.graph.api import IMAGE_FIELDS
from mapillary_crawler.graph.backoff import retry_after
from mapillary_crawler.graph.pace import ENTITIES, SEARCHES, Pace, cost
from mapillary_crawler.graph.patience import IMAGES, PAGES, OutOfPatience, Patience
from mapillary_crawler.terminal.quantities import moment
from mapillary_crawler.terminal.redaction import Redactor

logger = logging.getLogger(__name__)

#: Seconds for an answer: pages of 2000 rows take long (Graph API: about 1 s, with a heavy tail).
_TIMEOUT = 90
#: A time-out, and an answer that exceeds MOST_BYTES as it comes or once it is unpacked.
_TOO_MUCH = (DownloadTimeoutError, DownloadCancelledError, IgnoreRequest)
#: Seconds between two looks at whether the run is being stopped.
_LOOK = 0.5
#: Failures of one question after which it is seen whether others are answered.
_ITS_OWN = 5


def retry_after_of(response: Response) -> float | None:
    """Return the Retry-After of a response in seconds, None where it has none."""
    header = response.headers.get("Retry-After")
    return retry_after(header.decode("latin-1"), time.time()) if header else None


class GraphClient:
    """One run's conversation with the API.

    `sleep` waits so many seconds; it raises `RunStopped` when the run is being
    stopped. `harmless` is the URL of a question that the API answers if it answers at all,
    `needed` are fields without which a run cannot go on.
    """

    def __init__(
        self,
        crawler: Crawler,
        patience: Patience,
        sleep: Callable[[float], Awaitable[None]],
        harmless: str,
        needed: AbstractSet[str] = frozenset(),
        *,
        pace: Pace,
        fleet: FleetPace | None = None,
    ) -> None:
        self._crawler = crawler
        self._sleep = sleep
        self._harmless = harmless
        self._redactor = Redactor(secrets=secrets_of(os.environ), hosts=())
        self._needed = needed
        self._pace = pace
        self._fleet = fleet
        self.patience = patience
        #: Fields to ask for; the API may come to know less of them.
        self.fields: tuple[str, ...] = IMAGE_FIELDS

    def request(self, url: str, **arguments: Any) -> Request:
        """Return a request to the API; it is never filtered, and every status comes back."""
        return Request(
            url,
            dont_filter=True,
            meta={
                "download_slot": slots.API,
                "download_timeout": _TIMEOUT,
                "download_maxsize": MOST_BYTES,
                "handle_httpstatus_all": True,
            },
            **arguments,
        )

    async def keep_pace(self, url: str) -> None:
        """Wait until a question may be asked; raises `RunStopped`."""
        if (seconds := self._pace.wait(url, time.monotonic())) > 0:
            await self._sleep(seconds)
        if self._fleet is None:
            return
        asked = asyncio.ensure_future(self._fleet.take(*cost(url)))
        try:
            while not (await asyncio.wait({asked}, timeout=_LOOK))[0]:
                await self._sleep(0)
        finally:
            asked.cancel()

    async def ask(
        self, url: str, *, of_many: bool = False, with_cursor: bool = False, subject: str = IMAGES
    ) -> Answer:
        """Ask until the API says something that can be used: data, gone, or a rejected cursor.

        Of a question for many things, "ask for less" can be used too. A question that fails
        while others are answered would be asked for ever: its answer comes back as it is.
        Raises `EndOfRun`.
        """
        answers, failures = self.patience.answers, 0
        while True:
            answer, wait = await self._once(url, with_cursor=with_cursor)
            if answer.meaning in (Meaning.CURSOR_REJECTED, Meaning.DATA, Meaning.GONE):
                return answer
            await self.endure(answer, wait, subject=subject)
            if of_many and answer.meaning is Meaning.ASK_FOR_LESS:
                return answer
            failures += answer.meaning is not Meaning.PAUSE
            if failures < _ITS_OWN:
                continue
            if self.patience.answers > answers or await self._answers_others():
                return answer

    async def _answers_others(self) -> bool:
        answer, _ = await self._once(self._harmless)
        return answer.meaning is Meaning.DATA

    async def _once(self, url: str, *, with_cursor: bool = False) -> tuple[Answer, float | None]:
        await self.keep_pace(url)
        try:
            response = await self._crawler.engine.download_async(self.request(url))
        except Exception as error:  # noqa: BLE001  whatever ended the transfer, it is tried again
            return self.failed_transfer(error), None
        answer, wait = self.read(response, with_cursor=with_cursor)
        if answer.meaning in (Meaning.DATA, Meaning.GONE):
            self.patience.succeeded()
        return answer, wait

    def read(self, response: Response, *, with_cursor: bool = False) -> tuple[Answer, float | None]:
        """Return what a response means, and its Retry-After in seconds."""
        wait = retry_after_of(response)
        answer = read_answer(
            response.status, response.body, with_cursor=with_cursor, redactor=self._redactor
        )
        return answer, wait

    def failed_transfer(self, error: BaseException) -> Answer:
        """Return what a transfer that failed means: what was too much is asked for less of."""
        meaning = Meaning.ASK_FOR_LESS if isinstance(error, _TOO_MUCH) else Meaning.RETRY
        return Answer(meaning, f"no answer ({type(error).__name__})")

    async def endure(
        self, answer: Answer, wait: float | None = None, *, subject: str = PAGES
    ) -> None:
        """Wait for as long as an answer asks for; raises `EndOfRun` where waiting is no use.

        A rate limit holds for all that is asked of the API, and so does Retry-After.
        """
        if answer.meaning is Meaning.TOKEN:
            raise EndOfRun(Outcome.TOKEN_REFUSED, f"the API refused the token: {answer.message}")
        if answer.meaning is Meaning.BLOCKED:
            raise EndOfRun(Outcome.BLOCKED, f"the API blocked us with {answer.message}")
        if answer.meaning is Meaning.FIELD_UNKNOWN and answer.subject in self._needed:
            raise EndOfRun(
                Outcome.ERROR,
                f"the API no longer knows the field {answer.subject}, by which this selection is "
                "made; crawl without it",
            )
        if answer.meaning is Meaning.FIELD_UNKNOWN and answer.subject in self.fields:
            logger.warning("The API no longer knows the field %s; going on without", answer.subject)
            self.fields = tuple(name for name in self.fields if name != answer.subject)
            return
        try:
            seconds = self.patience.failed(
                answer.meaning,
                answer.message,
                now=time.monotonic(),
                subject=subject,
                asked_to_wait=wait,
            )
        except OutOfPatience as error:
            come_back = f"; run the same command again after {moment(wait)}" if wait else ""
            raise EndOfRun(Outcome.SERVICE_AWAY, f"{error}{come_back}") from None
        self._crawler.stats.inc_value(f"api/{answer.meaning.name.lower()}")
        if wait:
            logger.info("API: %s; it asks to wait until %s", answer.message, moment(wait))
        else:
            logger.info("API: %s; asking again in %.1f s", answer.message, seconds)
        if answer.meaning is Meaning.PAUSE and self._fleet:
            await self._fleet.refused(SEARCHES if subject == PAGES else ENTITIES, wait)
        if answer.meaning is Meaning.PAUSE or wait:
            downloader_of(self._crawler).pause(slots.API, seconds)
        await self._sleep(seconds)
