"""Ends a run: finishes the collection if it is complete, and settles the outcome."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scrapy import signals
from scrapy.crawler import Crawler
from twisted.python.failure import Failure

from mapillary_crawler.archive.finish.finishing import finish_collection
from mapillary_crawler.archive.internet_archive.uploaded_collection import is_uploaded
from mapillary_crawler.archive.lost_parts import lacks, lost_parts
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.update.finishing import finish_updated
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import (
    EndOfRun,
    Outcome,
    ProjectError,
    end_of_run,
    worst,
)
from mapillary_crawler.crawl.on_end import OnEnd, is_to_be_told, read_on_end, variables
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.plan.estimate import disk_needed
from mapillary_crawler.crawl.run import Run, run_of
from mapillary_crawler.crawl.slice_end import conclude_slice
from mapillary_crawler.crawl.slices import balance_of, cut, room_of
from mapillary_crawler.crawl.transfer import bodies
from mapillary_crawler.crawl.unknown_sequences import remarks
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt
from mapillary_crawler.ledger.thread import LedgerAccess
from mapillary_crawler.signals import collection_finished
from mapillary_crawler.terminal.quoting import one_line
from mapillary_crawler.terminal.terminal_log import OF_THE_LAST_LINE

if TYPE_CHECKING:
    from mapillary_crawler.crawl.rolling_upload import RollingUpload

logger = logging.getLogger(__name__)

#: The ends of runs that leave a finished collection.
_FINISHED = (Outcome.COMPLETE, Outcome.ACCEPTED)


class Ending:
    """Works on `spider_closed`, when all pipelines are closed; off the reactor's thread.

    Of all extensions it comes last.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._run = run_of(crawler)
        crawler.signals.connect(self._spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(self._failed, signal=signals.spider_error)
        crawler.signals.connect(self._item_failed, signal=signals.item_error)
        crawler.signals.connect(self._engine_stopped, signal=signals.engine_stopped)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect to the crawler's end."""
        return cls(crawler)

    def _failed(self, failure: Failure) -> None:
        """End the run where a callback or a pipeline failed unexpectedly: images would wait."""
        assert failure.value is not None
        self._run.end(end_of_run(failure.value))

    async def _item_failed(self, item: ImageItem, failure: Failure) -> None:
        """Let an unexpected error cost its image this run; the machine's end the run.

        Ended by one image, every run would end by it, and the others wait behind it for ever.
        """
        error = failure.value
        assert error is not None
        if isinstance(error, OSError | sqlite3.Error | MemoryError):
            self._failed(failure)
            return
        text = f"{type(error).__name__}: {error}"
        given_up = FailedAttempt(item.number, one_line(text, 200), math.inf)
        await self._run.ledger.ask(lambda ledger: ledger.queue.fail([given_up]))

    async def _spider_closed(self, reason: str) -> None:
        run = self._run
        opened = run.collection
        ends_by_itself = run.outcome is None and reason == "finished"
        if run.sealing:
            if ends_by_itself and opened.slice_number is not None:
                await asyncio.to_thread(run.sealing.rest)
            await asyncio.to_thread(run.sealing.close)
        try:
            opened.balance = await run.ledger.ask(partial(balance_of, opened))
            await _name_unknown_sequences(run)
        except sqlite3.Error as error:  # what was seen last stands
            run.end(end_of_run(error))
        if run.upload:
            await _rest_upload(run, run.upload, reason)
        await _settle_outcome(run, reason)
        assert run.outcome is not None
        if run.upload:
            await _end_upload(run, run.upload)
        needless = run.outcome in (Outcome.NO_IMAGES, Outcome.ALREADY_ARCHIVED)
        if needless and not opened.balance.listed:
            await run.ledger.ask(opened.discard)
        if run.outcome is Outcome.DISK_FULL and run.room is None:
            opened.needed = await run.ledger.ask(lambda ledger: _needed(ledger, opened))
        self._crawler.stats.set_value("finish_reason", run.outcome.reason)
        if self._crawler.engine.start_time is None:  # a component did not open: it never will run
            await run.close()

    async def _engine_stopped(self) -> None:
        """Let the collection go, after the last lines of the other extensions, and tell of it."""
        run = self._run
        await run.close()
        if run.outcome is None:
            return
        opened = run.collection
        await self._crawler.signals.send_catch_log_async(
            collection_finished,
            spider=self._crawler.spider,
            name=opened.name,
            folder=opened.place,
            balance=opened.balance,
            outcome=run.outcome,
        )
        command = read_on_end(self._crawler.settings)
        # Else it is the command's, which has the signals.
        if command and run.owned and is_to_be_told(opened, run.outcome):
            await asyncio.to_thread(OnEnd(command, variables(opened, run.outcome)).run)


async def _settle_outcome(run: Run, reason: str) -> None:
    """Do what a run ends with, unless something has ended it, and note how it ended."""
    if run.outcome is Outcome.CUT:
        end = await _cut(run)
    elif run.outcome is not None:
        return
    elif reason == "finished" and not run.stopping.is_set():
        end = await asyncio.to_thread(_conclude, run)
    else:
        end = EndOfRun(Outcome.INTERRUPTED, "")
    run.outcome, run.reason = end.outcome, str(end)


async def _cut(run: Run) -> EndOfRun:
    """Cut a collection whose run has ended for that."""
    try:
        return await run.ledger.ask(partial(cut, run.collection))
    except (ProjectError, sqlite3.Error) as error:
        return end_of_run(error)


def _conclude(run: Run) -> EndOfRun:
    opened = run.collection
    if opened.slice_number is None:
        return conclude(run.ledger, opened, run.stopping.is_set)
    return conclude_slice(run.ledger, opened, run.sealing)


async def _rest_upload(run: Run, upload: RollingUpload, reason: str) -> None:
    """Let the tar in transfer be sent, but where a signal that Scrapy has taken ends the run."""
    if run.outcome is None and reason != "finished":
        upload.stop()
    await asyncio.to_thread(upload.rest)


async def _end_upload(run: Run, upload: RollingUpload) -> None:
    """Send the rest of a finished collection, or what tells of an unfinished one."""
    if run.outcome in (Outcome.REFUSED, Outcome.LOCKED, Outcome.ALREADY_ARCHIVED):
        return
    if run.outcome not in _FINISHED:
        if run.collection.finished or run.collection.updating:
            return
        if run.outcome is Outcome.CUT:
            if run.collection.gathers:
                await _hand_on(run, upload)
            return
        hurry = run.outcome is Outcome.INTERRUPTED
        await asyncio.to_thread(lambda: upload.end_early(hurry=hurry))
        return
    end = await _finish_upload(run, upload)
    if end is None:
        return
    codes = (end.outcome.exit_code, run.outcome.exit_code)
    if worst(codes) == end.outcome.exit_code:
        run.outcome, run.reason = end.outcome, str(end)
    else:
        logger.warning("Not all of it is on archive.org: %s", end)


async def _hand_on(run: Run, upload: RollingUpload) -> None:
    """Send what slices have ended with, and wait for archive.org where the next has no room."""
    access, room = run.ledger, room_of(run.collection)
    removes = run.collection.arguments.remove

    def lacks_room() -> bool:
        return removes and access.wait_for(room.lacks)

    removed = await asyncio.to_thread(upload.hand_on, lacks_room)
    if not removed and not run.stopping.is_set() and await asyncio.to_thread(lacks_room):
        why = upload.state.trouble or "archive.org still works on what it has"
        run.outcome = Outcome.DISK_FULL
        run.reason = f"no room for the next slice, and nothing makes any: {why}"


async def _finish_upload(run: Run, upload: RollingUpload) -> EndOfRun | None:
    """Send the rest of a finished collection; return why not all is there, None where it is."""
    try:
        if await asyncio.to_thread(_is_untouched, run.collection):
            return None
        if not run.collection.finished:
            for call in run.when_finished:
                call()
            closed = run.ledger
            await asyncio.to_thread(run.take_up_finished)
            await asyncio.to_thread(closed.close)  # now that nobody in this thread has it
        return await asyncio.to_thread(upload.finish)
    except sqlite3.Error as error:
        why = f"the ledger in the store cannot be opened: {error}"
        return EndOfRun(Outcome.NOT_UPLOADED, why)
    except Exception as error:  # noqa: BLE001  a run that was not uploaded must not end with 0
        return EndOfRun(Outcome.ERROR, f"the upload ended: {type(error).__name__}: {error}")


def _is_untouched(opened: OpenCollection) -> bool:
    """Say whether an update has brought nothing to a collection that archive.org has all of."""
    if opened.changes is None or opened.changes.changed:
        return False
    with closing(read_ledger(opened.destination, locked=True)) as ledger:
        return is_uploaded(ledger, opened.destination, remove=opened.arguments.remove)


async def _name_unknown_sequences(run: Run) -> None:
    """Say which sequences asked for a complete listing has not brought."""
    asked = run.collection.collection.selection.sequences
    position, seen = await run.ledger.ask(
        lambda ledger: (ledger.listing.position(), ledger.listing.sequences())
    )
    for level, line in remarks(asked, seen) if position.closed else ():
        logger.log(level, "%s", line)


def _needed(ledger: Ledger, opened: OpenCollection) -> int | None:
    """Return the bytes that a collection still needs on its disk, None if nobody can tell."""
    balance = opened.balance
    mean: float = bodies.EXPECTED_BYTES[opened.collection.quality]
    if balance.saved:
        mean = balance.bytes_saved / balance.saved
    try:
        extent = ledger.survey.extent()
    except sqlite3.Error:
        return None
    return disk_needed(
        mean,
        left=balance.unsettled,
        images=extent.images,
        largest_day=extent.largest_day,
        tar_max_bytes=opened.tar_max_bytes if opened.tar else 0,
    )


def conclude(access: LedgerAccess, opened: OpenCollection, stop: Callable[[], bool]) -> EndOfRun:
    """Finish a collection whose crawl ended by itself, if nothing failed or that is accepted.

    A plan leaves it as it is, for the crawl. Returns how the run ends.
    """
    if opened.plan or opened.finished:
        return EndOfRun(Outcome.PLANNED if opened.plan else Outcome.COMPLETE, "")
    accept_failed = opened.arguments.accept_failed
    if opened.updating:
        opened.balance = access.wait_for(_restored)
    if opened.balance.unsettled and not accept_failed:
        return EndOfRun(Outcome.INCOMPLETE, _lacking(opened.balance))
    finish = finish_updated if opened.updating else finish_collection
    try:
        finished = finish(
            access,
            opened.collection,
            opened.folder,
            opened.destination,
            tar=opened.tar,
            tar_max_bytes=opened.tar_max_bytes,
            accept_failed=accept_failed,
            stop=stop,
            say=logger.info,
        )
        lost = _lost(opened.destination) if opened.updating else ""
    except Exception as error:  # noqa: BLE001  the outcome must be told whatever it was
        end = end_of_run(error)
        if end.outcome is Outcome.INCOMPLETE:
            logger.warning("%s", error, extra={OF_THE_LAST_LINE: True})
            opened.balance = access.wait_for(lambda ledger: ledger.images.balance())
        elif end.outcome is Outcome.INTERRUPTED:
            return EndOfRun(end.outcome, "")
        else:
            logger.error(  # noqa: TRY400  one line
                "The collection could not be finished: %s", end, extra={OF_THE_LAST_LINE: True}
            )
        return end
    opened.balance, opened.changes = finished.balance, finished.changes
    if lost:
        logger.warning("%s", lost, extra={OF_THE_LAST_LINE: True})
        return EndOfRun(Outcome.INCOMPLETE, lost)
    return EndOfRun(finished.outcome, "")


def _lost(folder: Path) -> str:
    """Return what an updated collection had lost before, and what mends it; nothing if nothing."""
    with closing(read_ledger(folder, locked=True)) as ledger:
        lost = lost_parts(folder, ledger)
    return f"of its files it {lacks(folder, lost)}" if lost else ""


def _restored(ledger: Ledger) -> Balance:
    """Return the balance of an update; what it has asked for in vain is as it was before."""
    if ledger.listing.position().closed:
        ledger.update.conclude()
    return ledger.images.balance()


def _lacking(balance: Balance) -> str:
    """Say why a collection is not complete."""
    failed = balance.failed - balance.accepted
    lacking = [(failed, "failed"), (balance.left, "not tried")]
    parts = [f"{count:,} {what}" for count, what in lacking if count]
    return f"{' and '.join(parts)} of {balance.listed:,} images"
