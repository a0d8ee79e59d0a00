"""Users crawled on one machine, by a queue in memory, each crawl a process of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from procrastinate import App
from procrastinate.jobs import DEFAULT_QUEUE

from mapillary_crawler.collection.outcome import Outcome, ProjectError, worst
from mapillary_crawler.ledger.records import Slice
from mapillary_crawler.workers.memory import Memory
from mapillary_crawler.workers.process import Processes
from mapillary_crawler.workers.tasks import MACHINE, defer, make_app
from mapillary_crawler.workers.verdict import Next
from mapillary_crawler.workers.work import Step, Work

#: Seconds between two looks at what runs.
_LOOK = 0.2
#: On what a slice's crawl ended that would meet the user's other slices, too.
_MEETS_ALL = frozenset({Next.LATER, Next.PAUSE_MACHINE, Next.PAUSE_FLEET})


def _no_slices(_work: Work) -> None:
    return None


@dataclass
class Crawls:
    """Runs crawls of users, `jobs` at once, whatever becomes of the others.

    `users` are the arguments of each, `command` gives the command line of a crawl, `watch`, where
    there is one, hears now and then what is being crawled. Where several may run at once each line
    of output has the work's title before it.
    """

    users: Mapping[str, Mapping[str, str]]
    jobs: int
    command: Callable[[Work], list[str]]
    watch: Callable[[Sequence[Work]], None] | None = None
    #: Says with which exit code a user's crawl would end at once; None where it is to be started.
    settled: Callable[[str], int | None] | None = None
    #: Says whether a crawl that runs has all images and is at its upload alone: then it holds no
    #: place, so that the next begins. At most `jobs` are let go so.
    uploads: Callable[[str], bool] | None = None
    #: Hear of each user as the first crawl starts and, with the exit code, as the last ends.
    starts: Callable[[str], None] | None = None
    ends: Callable[[str, int], None] | None = None
    #: Gives the slices of a user's collection, None where it is not cut.
    find_slices: Callable[[Work], Sequence[Slice] | None] = _no_slices
    #: Whether a crawl that dies is tried again.
    again: bool = False
    #: Exit codes, as they come; a negative one is the signal that ended the process.
    codes: dict[str, int] = field(default_factory=dict)
    _running: list[Work] = field(default_factory=list)
    #: Those of whom something is in the queue, in order.
    _open: dict[str, None] = field(default_factory=dict)
    _started: set[str] = field(default_factory=set)
    #: Exit codes of a user's works that nothing followed on.
    _last: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    #: Those whose slices are not gone on with, and the exit code that says so.
    _given_up: dict[str, int] = field(default_factory=dict)
    #: Keys of those that died too often.
    _shown: set[str] = field(default_factory=set)
    _trouble: Exception | None = None

    def __post_init__(self) -> None:
        self._queue = Memory(self._look_around)
        self._processes = Processes(several=self.jobs > 1)

    @property
    def stopped(self) -> bool:
        """Whether a signal has ended it."""
        return self._processes.stopped

    def run_all(self) -> Mapping[str, int]:
        """Run them all; users that a signal left out have no exit code."""
        self._processes.several = self.jobs > 1 or self.uploads is not None
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL + 1)  # all is said here
        with self._processes.passing_signals():
            asyncio.run(self._run_all())
        return self.codes

    async def _run_all(self) -> None:
        self._change, self._door = asyncio.Event(), asyncio.Lock()
        async with make_app(self._queue).open_async() as app:
            worker = asyncio.create_task(
                app.run_worker_async(
                    concurrency=self.jobs * (1 if self.uploads is None else 2),
                    fetch_job_polling_interval=1.0,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    additional_context={MACHINE: self},
                )
            )
            try:
                await self._feed(app, worker)
            except BaseException:
                self._processes.stop(signal.SIGTERM)
                raise
            finally:
                worker.cancel()
                with suppress(asyncio.CancelledError):
                    await worker
                await self._processes.relayed()
        for username in [name for name in self._open if name in self._started]:
            self._end(username)

    async def _feed(self, app: App, worker: asyncio.Task[None]) -> None:
        """Put users into the queue, as many ahead as there are jobs, until all are over."""
        users = iter(self.users.items())
        place = 0
        while len(self.codes) < len(self.users) and not (self.stopped and not self._running):
            while not self.stopped and len(self._open.keys() - self._started) < self.jobs:
                username, arguments = next(users, ("", None))
                if arguments is None:
                    break
                place -= 2  # an earlier user's slices go before a later user's listing
                self._open[username] = None
                await defer(app, [Work(username, arguments)], priority=place)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), _LOOK)
            self._change.clear()
            if self._trouble or worker.done():
                raise self._trouble or ProjectError("the queue in memory has ended by itself")
            self._note_ends()
            if self.watch:
                self.watch(list(self._running))

    def _note_ends(self) -> None:
        known = self._open.keys() - self._queue.usernames()
        if self.stopped:
            known &= self._last.keys()  # the others were never begun
        for username in [name for name in self._open if name in known]:
            self._end(username)

    def _end(self, username: str) -> None:
        """Note with what a user has ended: what the last crawl did, or the worst of the slices."""
        del self._open[username]
        unknown = Outcome.INTERRUPTED if self.stopped else Outcome.ERROR
        codes = set(self._last.pop(username, [unknown.exit_code]))
        self.codes[username] = code = codes.pop() if len(codes) == 1 else worst(codes)
        if self.ends:
            self.ends(username, code)

    def _look_around(self) -> None:
        self._change.set()

    def queue_of(self, work: Work) -> str:
        """Return the only queue."""
        return DEFAULT_QUEUE

    async def run(self, work: Work) -> int:
        """Crawl, once there is a place; a user who would end at once does."""
        self._note_ends()
        async with self._door:
            while not (self._has_place() or self.stopped):  # noqa: ASYNC110  a file says it
                await asyncio.sleep(_LOOK)
            if self.stopped or work.username in self._given_up:
                return self._given_up.get(work.username, Outcome.INTERRUPTED.exit_code)
            if work.username not in self._started:
                code = self.settled(work.username) if self.settled else None
                if code is not None:
                    return code
                self._started.add(work.username)
                if self.starts:
                    self.starts(work.username)
            self._running.append(work)
            self._change.set()
        try:
            return await self._processes.run(work.title, self.command(work))
        finally:
            self._running.remove(work)
            self._change.set()

    def _has_place(self) -> bool:
        """Say whether another crawl may begin now."""
        uploading = (
            sum(self.uploads(each.username) for each in self._running if not each.is_slice)
            if self.uploads
            else 0
        )
        return len(self._running) - min(uploading, self.jobs) < self.jobs

    def slices(self, work: Work) -> Sequence[Slice] | None:
        """Return the slices of a user's collection."""
        return self.find_slices(work)

    async def left_alone(self, work: Work) -> Container[str]:
        """Return the keys of slices that are being crawled, or have died too often."""
        return {*self._queue.current_locks, *self._shown}

    async def takes(self, work: Work, code: int, step: Step) -> bool:
        """Go on with slices, and with crawls that died; what needs time ends for this run."""
        if self.stopped:
            return False
        return step.next in (Next.DONE, Next.MERGE) or (step.next is Next.CRASHED and self.again)

    async def over(self, work: Work, code: int, step: Step) -> None:
        """Note what a user may end with: the last that the user's own task has ended with is it."""
        is_shown = step.next is Next.SHOWN
        if is_shown:
            self._shown.add(work.key)
        meets_all = step.next in _MEETS_ALL or code == Outcome.REFUSED.exit_code
        # The one that is shown may be the one for which others leave room.
        if work.is_slice and (meets_all or (is_shown and work.removes)):
            self._given_up.setdefault(work.username, code)
        is_left_out = self.stopped and work.username not in self._started and code != 0
        if not (is_left_out or (work.is_slice and step.next in (Next.DONE, Next.MERGE))):
            before = self._last[work.username] if work.is_slice else []
            self._last[work.username] = [*before, code]

    def refused(self, title: str, error: Exception) -> None:
        """End with what should not have happened: all tasks are this program's own."""
        self._trouble = self._trouble or error

    def trouble(self, work: Work, error: Exception) -> None:
        """End with what should not have happened."""
        self._trouble = self._trouble or error
