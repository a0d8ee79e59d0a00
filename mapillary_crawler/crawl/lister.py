"""The listing: takes pages, doubts what may be an outage, and decides when it is complete."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import Any

from scrapy.http import Response

from mapillary_crawler.collection.names import Collection, written
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.collection.usernames import plain
from mapillary_crawler.crawl.listing_end import Step, next_step
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Committed, CursorLoop, CursorMoved, Position

logger = logging.getLogger(__name__)

#: Pages in a row that bring nothing new to their round, empty ones too, before it is a fault.
IDLE_PAGES = 50
#: Empty answers in a row for a user with images after which a run ends, and those after which
#: a page behind a cursor is believed to be empty, the listing's last.
_EMPTY_ANSWERS, _EMPTY_LAST_PAGES = 8, 4
#: Times that a run begins its listing anew because its cursors lead nowhere.
_RESTARTS = 20
#: Rounds of a run that end short and are not believed.
_SHORT_ROUNDS = 3
#: Pages without a usable row that are asked for again; the next is taken as it is.
_UNUSABLE_PAGES = 5


#: Images the listing may be ahead of the pipelines: some minutes of fetching at 300 to 500 images a
#: second, hours below 14. A page of 2000 comes in a few seconds, so one process waits for no page.
AHEAD = 100_000
#: Seconds of waiting for others after which a listing for slices lets images be drawn.
_PATIENCE = 0.3


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What is to be asked for next: the page behind `cursor`, None for the first, and its rows."""

    url: str
    cursor: str | None
    limit: int


class Lister:
    """Brings pages into the ledger, one at a time; `open` until the listing is complete.

    It says which page comes next, and is given what came of it. At most `ahead` images wait
    to be fetched while another page is asked for; None is no limit. A listing `for_slices` goes
    before the images, and has no limit: their processes wait for its end. What its methods raise,
    `EndOfRun` and `RunStopped` among it, ends the run.
    """

    def __init__(self, run: Run, *, ahead: int | None = AHEAD) -> None:
        self._run = run
        self.for_slices = False
        self._collection = run.collection.collection
        self._username = run.collection.collection.username
        self._client = run.client
        self._ahead = ahead
        self.open = True
        self._empty_answers = 0
        self._unusable_pages = 0
        self._restarts = 0
        self._short_rounds = 0
        self._idle_pages = 0
        #: Since when it waits for others, on the monotonic clock; None while it does not.
        self._waits_since: float | None = monotonic()

    @property
    def holds_images(self) -> bool:
        """Say whether no image is to be drawn now, since the listing goes first.

        It gets the whole processor then, and images what it leaves: drawn while the API, or what
        it asks to wait for, takes its time.
        """
        if not (self.for_slices and self.open):
            return False
        since = self._waits_since
        return since is None or monotonic() - since < _PATIENCE

    async def start(self) -> PageRequest | None:
        """Return the page that the listing goes on with, None where it is complete."""
        position = await self._run.ledger.ask(lambda ledger: ledger.listing.position())
        self.open = not position.closed
        if position.ended and not position.closed:
            await self.end()
        return await self._following(None)

    async def answered(self, page: PageRequest, response: Response) -> PageRequest | None:
        """Take a page in and return what comes next, None where nothing does."""
        answer, wait = self._client.read(response, with_cursor=page.cursor is not None)
        return await self._continue(page, answer, wait)

    async def failed(self, page: PageRequest, error: BaseException) -> PageRequest | None:
        """Return what comes next where the transfer of a page failed."""
        if self._run.closing():
            return None
        return await self._continue(page, self._client.failed_transfer(error), None)

    async def _continue(
        self, page: PageRequest, answer: Answer, wait: float | None
    ) -> PageRequest | None:
        try:
            await self.take(answer, page.cursor, page.limit, wait)
        except CursorMoved:  # another answer to the same page came first
            return None
        return await self._following(None if self.for_slices else self._ahead)

    async def _following(self, ahead: int | None) -> PageRequest | None:
        """Return the page that the listing stands at, once the pipelines are near enough."""
        while self.open and not self._run.closing():
            position, waiting = await self._run.ledger.ask(_standing)
            if ahead is None or waiting <= ahead:
                page = self._page(position.cursor)
                await self._client.keep_pace(page.url)
                return page
            await self._run.sleep(1)
        return None

    def _page(self, cursor: str | None) -> PageRequest:
        limit = self._client.patience.page_rows
        url = graph_api.page_url(
            self._run.collection.configuration.api_url,
            self._collection,
            (*self._client.fields, graph_api.thumb_field(self._collection.quality)),
            cursor=cursor,
            limit=limit,
        )
        return PageRequest(url, cursor, limit)

    async def take(
        self, answer: Answer, cursor: str | None, limit: int, wait: float | None
    ) -> None:
        """Commit the page that was asked for, or wait for as long as its answer asks for.

        Raises `CursorMoved` for the page of a cursor that was left, and `EndOfRun`.
        """
        if answer.meaning in (Meaning.CURSOR_REJECTED, Meaning.GONE) and cursor is not None:
            await self._list_from_the_start(f"the API rejects the cursor ({answer.message})")
            return
        unknown_user = answer.meaning is Meaning.GONE
        if answer.meaning is not Meaning.DATA and not unknown_user:
            await self._client.endure(answer, wait)
            return
        try:
            page = graph_api.read_page({"data": []} if unknown_user else answer.data, limit)
            self._doubt_rows(page)
            if not page.rows and page.following is None and not await self._believe_empty(cursor):
                return
            with self._not_waiting():
                committed = await self._run.ledger.ask(
                    lambda ledger: self._commit(ledger, page, cursor)
                )
        except CursorLoop:
            await self._list_from_the_start("the listing runs in a circle")
            return
        except graph_api.MalformedPage as error:
            await self._client.endure(Answer(Meaning.RETRY, str(error)))
            return
        self._empty_answers = 0
        self._client.patience.page_succeeded()
        self._idle_pages = self._idle_pages + 1 if committed.idle else 0
        if self._idle_pages >= IDLE_PAGES:
            raise EndOfRun(
                Outcome.SERVICE_AWAY,
                f"the API gave {IDLE_PAGES} pages in a row, each under a new cursor, without one "
                "image that it had not listed just before; run the same command again later",
            )
        logger.info(
            "Listed %d new images, %d known, %d outside", committed.new - committed.outside,
            committed.known, committed.outside,
        )  # fmt: skip
        if page.following is None:
            await self.end()

    @contextmanager
    def _not_waiting(self) -> Iterator[None]:
        self._waits_since = None
        try:
            yield
        finally:
            self._waits_since = monotonic()

    def _commit(self, ledger: Ledger, page: graph_api.Page, cursor: str | None) -> Committed:
        """Commit a page (in the ledger's thread, since it takes a while).

        Of what is known and wanted no more, as nearly all in an update, only the id is looked at.
        """
        rows, nameless = [], 0
        listing = ledger.listing
        extensions = ledger.facts.get("extensions")
        ids = list(map(graph_rows.row_id, page.rows))
        known = listing.known([name for name in ids if name])
        wanted = {image_id: bool(row.wanted) for image_id, row in known.items()}
        for index, (image_id, row) in enumerate(zip(ids, page.rows, strict=True)):
            if image_id is None:
                nameless += 1
                page_name = f"the page behind {cursor}" if cursor else "the first page"
                logger.warning("Row %d of %s has no usable id", index, page_name)
            elif wanted.get(image_id, True):
                listed = graph_rows.listed_row(row, self._collection, wanted, extensions)
                assert listed is not None  # it has an id
                rows.append(listed)
        sequences = graph_rows.sequences_asked_for(page.rows, self._collection.selection)
        return listing.commit(
            cursor,
            page.following,
            rows,
            known=known,
            nameless=nameless,
            sequences=sequences,
        )

    async def _list_from_the_start(self, reason: str) -> None:
        """Begin the listing anew, some times; raises `EndOfRun` where that is no use."""
        self._restarts += 1
        if self._restarts > _RESTARTS:
            message = f"the listing had to be begun anew {_RESTARTS} times: {reason}"
            raise EndOfRun(Outcome.SERVICE_AWAY, message)
        logger.warning("Listing again from the start: %s", reason)
        await self._run.ledger.ask(lambda ledger: ledger.listing.start_round(again=False))
        await self._client.endure(Answer(Meaning.RETRY, reason))

    def _doubt_rows(self, page: graph_api.Page) -> None:
        """Raise `MalformedPage`, some times, for a page whose rows are all unusable."""
        if page.rows and not any(map(graph_rows.row_id, page.rows)):
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
        known = await self._run.ledger.ask(lambda ledger: ledger.images.listed())
        self._empty_answers += 1
        often = self._empty_answers >= _EMPTY_LAST_PAGES
        if cursor is not None and often and await self._has_images(self._collection):
            return True
        if cursor is None and known == 0 and self._empty_answers > 1:
            raise EndOfRun(Outcome.NO_IMAGES, await self._nothing_found())
        if self._empty_answers > _EMPTY_ANSWERS:
            return await self._accept_vanished(known)
        logger.warning("The API answered with an empty page; asking again")
        # Most likely the end: the cut would wait for all that is begun before it.
        is_large = known > self._run.collection.configuration.slice_images
        goes_on = cursor is not None and not often and is_large
        with self._not_waiting() if goes_on else nullcontext():
            await self._run.sleep(min(60, 2.0 ** (self._empty_answers - 1)))
        return False

    async def _accept_vanished(self, known: int) -> bool:
        """Believe that a user has deleted all images if two runs in a row say so; `EndOfRun` else.

        And only where the user accepts it: an outage can be as silent, and as long.
        """
        number, ask = self._run.collection.run_number, self._run.ledger.ask
        vanished_in: Any = await ask(lambda ledger: ledger.facts.get("listing_vanished"))
        if self._run.collection.arguments.accept_failed and vanished_in == number - 1:
            logger.warning("The API lists no images any more; accepted with accept_failed=1")
            return True
        await ask(lambda ledger: ledger.facts.set(listing_vanished=number))
        raise EndOfRun(
            Outcome.SERVICE_AWAY,
            f"the API lists no images for user {self._username}, although it listed {known} "
            "before; if they were deleted, -a accept_failed=1 in the next run finishes with these",
        )

    async def _has_images(self, collection: Collection) -> bool:
        url = graph_api.page_url(
            self._run.collection.configuration.api_url, collection, ("id",), limit=1
        )
        answer = await self._client.ask(url)
        return answer.meaning is Meaning.DATA and bool(answer.data.get("data"))

    async def _nothing_found(self) -> str:
        """Return the line for a run without images: no such user, or none in the selection."""
        balance = await self._run.ledger.ask(lambda ledger: ledger.images.balance())
        selection = self._collection.selection
        other = selection.swapped
        hint = f"; with latitude first it would be -a bbox={written(other)}" if other else ""
        if balance.outside and not (selection.start or selection.end):  # all rows were listed
            return f"{self._username} has {balance.outside} images, none in this selection{hint}"
        if balance.outside or (selection and await self._has_images(Collection(self._username))):
            return f"{self._username} has images, none in this selection{hint}"
        likely = plain(self._username)
        hint = f"; is the name {likely!r}?" if likely else ""
        return f"no images found for user {self._username} (names are case-sensitive){hint}"

    async def end(self) -> None:
        """Decide what follows on a page without a next one; raises `EndOfRun`."""
        ask = self._run.ledger.ask
        step = await ask(_step)
        self._short_rounds += step is Step.SHORT
        if self._short_rounds > _SHORT_ROUNDS:
            step = Step.CLOSE
        if step is Step.CLOSE:
            balance = await ask(lambda ledger: ledger.images.balance())
            if balance.listed == 0:
                raise EndOfRun(Outcome.NO_IMAGES, await self._nothing_found())
            await ask(lambda ledger: ledger.listing.close())
            self.open = False
            logger.info("The listing is complete: %d images", balance.listed)
            return
        logger.info("Listing again: %s", step.value)
        if step is not Step.MISSING:  # which an update has begun already
            short = step is Step.SHORT
            await ask(lambda ledger: ledger.listing.start_round(again=True, short=short))


def _standing(ledger: Ledger) -> tuple[Position, int]:
    """Return where the listing stands, and how many images wait to be fetched."""
    return ledger.listing.position(), ledger.queue.waiting()


def _step(ledger: Ledger) -> Step:
    if ledger.update.is_on:
        return Step.MISSING if ledger.update.lists_again() else Step.CLOSE
    return next_step(
        ledger.listing.position(),
        known=ledger.images.listed(),
        short_before=ledger.facts.get("listing_short"),
    )
