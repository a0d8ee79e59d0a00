"""Tells how far a run is: on the terminal, in the log, and in a file for monitors."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from dataclasses import replace
from functools import partial
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.crawl.slices import balance_of
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.downloader import downloader_of
from mapillary_crawler.crawl.whole_progress import WholeProgress
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Waiting
from mapillary_crawler.terminal.progress import Pace, Phase, Report, Snapshot
from mapillary_crawler.terminal.progress_file import ProgressFile
from mapillary_crawler.terminal.quantities import moment
from mapillary_crawler.terminal.run_display import ProgressDisplay

logger = logging.getLogger(__name__)

#: Seconds between two looks, two writings of the file, and two lines of the log.
_LOOK, _WRITE, _SAY = 1.0, 5.0, 60.0

#: Seconds of a pause from which on it is told.
_LONG = 5.0


class Progress:
    """Looks at the ledger's counts every second; that disturbs nothing.

    While the collection is finished the ledger is busy: then the last counts stand.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._run = run_of(crawler)
        self._pace = Pace()
        self._phase = Phase.LISTING
        crawler.signals.connect(self._opened, signal=signals.spider_opened)
        crawler.signals.connect(self._finishing, signal=signals.spider_closed)
        crawler.signals.connect(self._ended, signal=signals.engine_stopped)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect to the crawler's beginning and end."""
        return cls(crawler)

    def _opened(self) -> None:
        opened = self._run.collection
        self._snapshot = Snapshot(self._phase, opened.balance)
        self._file = ProgressFile(opened.folder, opened.destination)
        self._whole = WholeProgress.of(opened)
        self._display = ProgressDisplay.on_terminal(self._crawler.settings, logger.name)
        self._run.on_stop(self._show)
        self._started_at = time.time()
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Look and tell, until the run has ended."""
        opened = self._run.collection
        look: asyncio.Future[Snapshot] | None = None
        written, said, phase = -math.inf, time.monotonic(), self._phase
        while True:
            look = look or asyncio.ensure_future(self._look())
            done, _ = await asyncio.wait({look}, timeout=_LOOK)
            now = time.monotonic()
            if done:
                self._snapshot = look.result()
                if not opened.gathers:  # what comes meanwhile is the slices'
                    self._pace.note(now, self._snapshot)
                look = None
            report = self._show()
            if now - written >= _WRITE or phase is not report.snapshot.phase:
                written, phase = now, report.snapshot.phase
                self._write(report)
                if self._whole:
                    await asyncio.to_thread(self._whole.write)
            if now - said >= _SAY:
                said = now
                logger.info("%s", report.line())
            if done:
                await asyncio.sleep(_LOOK)

    def _show(self) -> Report:
        """Draw the display anew, where there is one."""
        report = self._report()
        if self._display:
            self._display.show(report)
        return report

    async def _look(self) -> Snapshot:
        """Return how far the run is."""
        try:
            balance, waiting, listed = await self._run.ledger.ask(
                partial(_counts, self._run.collection)
            )
        except sqlite3.Error:  # the finish has closed it
            return self._snapshot
        if self._phase is not Phase.FINISHING:
            self._run.collection.balance = balance  # stands if the ledger is unreadable at the end
        if self._phase is Phase.LISTING and listed:
            self._phase = Phase.FETCHING
        return Snapshot(
            phase=self._phase,
            balance=balance,
            to_retry=waiting.to_retry,
            given_up=waiting.given_up,
            in_flight=downloader_of(self._crawler).in_flight(slots.IMAGES),
            encoding=self._run.encoding,
            waiting=self._waiting(),
            sealing=self._run.sealing.day if self._run.sealing else "",
        )

    def _waiting(self) -> str:
        """Return which service is left alone for a while and until when, and what makes room."""
        downloader, room = downloader_of(self._crawler), self._run.room
        services = [
            f"{who} until {moment(seconds)}"
            for slot, who in ((slots.API, "the API"), (slots.IMAGES, "the image servers"))
            if (seconds := downloader.paused_for(slot)) >= _LONG
        ]
        return ", ".join([*services, *([room.words] if room and room.words else [])])

    def _report(self) -> Report:
        snapshot, opened = self._snapshot, self._run.collection
        if self._phase is Phase.FINISHING and opened.balance.saved >= snapshot.balance.saved:
            snapshot = replace(snapshot, balance=opened.balance)  # counted as the spider closed
        if self._is_uploading():
            snapshot = replace(snapshot, phase=Phase.UPLOADING)
        return Report(
            opened.name,
            snapshot,
            self._pace,
            opened.title,
            stopping=self._run.stopping.is_set(),
        )

    def _is_uploading(self) -> bool:
        """Say whether the finished collection is in the store, and its upload alone is left."""
        opened, phase = self._run.collection, self._snapshot.phase
        is_wanted = opened.arguments.upload and phase is not Phase.ENDED
        return is_wanted and opened.destination.exists()

    def _write(self, report: Report, outcome: Outcome | None = None) -> None:
        self._file.write(
            report.fields(started_at=self._started_at, updated_at=time.time(), outcome=outcome)
        )

    def _finishing(self) -> None:
        self._phase = Phase.FINISHING
        self._snapshot = replace(self._snapshot, phase=self._phase, in_flight=0, encoding=0)

    def _ended(self) -> None:
        """Take the display away and leave the last figures, with the outcome, in the file."""
        self._task.cancel()
        if self._display:
            self._display.close()
        self._snapshot = Snapshot(Phase.ENDED, self._run.balance)
        self._pace = Pace()
        changes = self._run.collection.changes
        if changes is None or changes.changed:  # else the collection stays as it was, to its times
            self._write(self._report(), self._run.outcome or Outcome.ERROR)


def _counts(opened: OpenCollection, ledger: Ledger) -> tuple[Balance, Waiting, bool]:
    """Return what has become of the images, what waits, and whether the listing is complete."""
    balance, waiting = ledger.survey.progress()
    if opened.renews or opened.gathers:
        balance = balance_of(opened, ledger)
    return balance, waiting, ledger.listing.position().closed
