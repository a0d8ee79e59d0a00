"""One machine of several: it takes tasks of the queue on PostgreSQL, some at once.

Without a sign of life for the length of a lease its tasks are others'. So whatever it runs is
behind the fence; and where the queue goes away for longer, all that it runs ends, and so does it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
from procrastinate import App, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy
from procrastinate.worker import Worker

from mapillary_crawler.crawl.fleet_pace import FLEET_PACE
from mapillary_crawler.ledger.records import Slice
from mapillary_crawler.terminal.progress_file import read_progress
from mapillary_crawler.workers.brake import Brake, serve
from mapillary_crawler.workers.database import QueueAway, parameters, said
from mapillary_crawler.workers.dsn import Dsn
from mapillary_crawler.workers.fence import PARTS, Fence, Taken, Waits
from mapillary_crawler.workers.jobs import Jobs, is_away
from mapillary_crawler.workers.leases import USERS, queue_of, shared_queue, take_over
from mapillary_crawler.workers.news import News
from mapillary_crawler.workers.process import Processes
from mapillary_crawler.workers.shared_work import SharedWork, Signs
from mapillary_crawler.workers.tasks import MACHINE, make_app
from mapillary_crawler.workers.verdict import Next
from mapillary_crawler.workers.work import Step, Work

logger = logging.getLogger(__name__)

#: Seconds that a crawl has to end in once it is told to, where nobody else waits for its folder.
_TO_END = 60.0
#: The lock of those who look after the tasks of the dead: one is enough.
_REAPER = "reaper"


class PutBack(BaseRetryStrategy):
    """Puts a task back that this machine cannot go on with; whatever else ends one is shown."""

    def __init__(self, queue_of: Callable[[str], str], seconds: float) -> None:
        self._queue_of = queue_of
        self._seconds = max(1, round(seconds))

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when and where the task is tried again, None for never."""
        if isinstance(exception, Waits):
            return RetryDecision(retry_in={"seconds": self._seconds}, queue=exception.queue)
        if isinstance(exception, Taken) or is_away(exception):  # it is not known to be here
            return RetryDecision(retry_in={"seconds": self._seconds})
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(queue=self._queue_of(job.lock or ""))
        return None


@dataclass
class QueueMachine:
    """What a worker of the queue does with tasks; `run_worker` is all of it.

    `command` gives the command line of a crawl that works in `staging`, `slices_of` the slices of a
    collection there. `environment` is that of the crawls, which need not know the queue. Where
    machines have a folder in common, `shared` is what is done with it.
    """

    name: str
    version: str
    jobs: int
    #: Seconds without a sign of life after which its tasks are others'.
    lease: float
    dsn: Dsn
    command: Callable[[Work], list[str]]
    store: Path
    staging: Path
    slices_of: Callable[[Work], Sequence[Slice] | None]
    environment: Mapping[str, str]
    #: That of the token, for which the API's limits hold.
    application: str
    say: Callable[[str], None]
    shared: SharedWork | None = None
    #: What is being crawled, and in which staging folder.
    _running: dict[str, tuple[Work, Path]] = field(default_factory=dict)
    _paused_until: float = 0.0
    _paused_for: str = ""
    _queues: list[str] = field(default_factory=list)
    _draining: bool = False
    _tasks: Worker | None = None

    def queue_of(self, work: Work) -> str:
        """Return where what follows on a task waits."""
        return self._queue_of(work.key)

    def _queue_of(self, key: str) -> str:
        """Return where a task waits: for this machine, which has its files, unless it is all's."""
        of_all = self.shared.queue(key) if self.shared else None
        return of_all or queue_of(self.name)

    def run_worker(self) -> None:
        """Work until SIGTERM or SIGINT; raises `QueueAway` where the queue went away."""
        for name in ("procrastinate", "psycopg.pool", "asyncio"):  # all is said here
            logging.getLogger(name).setLevel(logging.CRITICAL)
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._drain_on_signals()
        connector = PsycopgConnector(
            conninfo=self.dsn.conninfo, kwargs=parameters(self.dsn), min_size=1,
            max_size=self.jobs + 3, timeout=self.lease / 3, reconnect_timeout=self.lease / PARTS,
        )  # fmt: skip
        self._fence, self._news = Fence(self.dsn, self.lease), News(connector, self.name)
        self._brake = Brake(connector, self.application)
        app = make_app(connector, PutBack(self._queue_of, self.lease / 3))
        app.job_manager = Jobs(connector, self.lease / PARTS)
        ended: ProcrastinateException | None = None
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app.open_async())
            stack.push_async_callback(self._fence.close)
            self._queues = self._all_queues()
            self._tasks = worker = self._worker(app)
            await self._news.starts(self.version, self.jobs)
            await self._brake.begin()
            watches = [
                asyncio.create_task(self._fence.watch()),
                asyncio.create_task(self._look(app)),
            ]
            try:
                await worker.run()  # type: ignore[no-untyped-call]
            except ProcrastinateException as error:
                ended = error
            finally:
                for watch in watches:
                    watch.cancel()
                await asyncio.gather(*watches, return_exceptions=True)
                await self._news.seen(drained=self._draining)
        if not self._draining:
            raise QueueAway(
                f"the queue ({self.dsn.where}) went away{self._why(ended)}; start the worker again"
            )

    def _why(self, ended: ProcrastinateException | None) -> str:
        """Return what the server says; procrastinate knows that it has no connection, not why."""
        error = self._fence.trouble or (ended and (ended.__cause__ or ended))
        return f": {said(self.dsn, error)}" if error else ""

    def _all_queues(self) -> list[str]:
        of_all = [shared_queue(self.version)] if self.shared else []
        return [queue_of(self.name), USERS, *of_all]

    def _worker(self, app: App) -> Worker:
        return Worker(
            app,
            queues=self._queues,
            concurrency=self.jobs,
            fetch_job_polling_interval=min(5.0, self.lease / 3),
            abort_job_polling_interval=min(5.0, self.lease / 3),
            shutdown_graceful_timeout=0,
            delete_jobs="successful",
            additional_context={MACHINE: self},
            install_signal_handlers=False,
            update_heartbeat_interval=self.lease / PARTS,
            stalled_worker_timeout=self.lease,
        )

    def _drain_on_signals(self) -> None:
        """Put back what is being done, with what it has, when told to end."""

        def drain() -> None:
            if not self._draining:
                self.say("ends: what is being crawled is put back with what it has")
            self._draining = True
            self._stop_when_draining()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, drain)

    def _stop_when_draining(self) -> None:
        """End the worker; it forgets what it was told before it had begun."""
        if self._draining and self._tasks:
            self._tasks.stop()  # type: ignore[no-untyped-call]

    async def _look(self, app: App) -> None:
        """Tell how far all is, hear whether anything may be taken, look after the dead."""
        while True:
            await self._tell()
            halted = await self._news.halted()
            stays = max(0.0, self._paused_until - time.monotonic())
            self._queues[:] = [] if halted or stays else self._all_queues()
            try:
                with suppress(Taken, psycopg.Error, ProcrastinateException):
                    async with self._fence.held(_REAPER, _nothing):
                        await self._be_there(app)
                        await take_over(app, self.lease)
            except Exception as error:  # noqa: BLE001  silent, it would be taken for dead itself
                self.say(f"the tasks of the dead: {type(error).__name__}")
            self._stop_when_draining()
            await asyncio.sleep(self.lease / PARTS)

    async def _be_there(self, app: App) -> None:
        """Not be one of the dead: it may look after them sooner than its next heartbeat comes."""
        if self._tasks and self._tasks.worker_id is not None:
            await app.job_manager.update_heartbeat(self._tasks.worker_id)

    async def _tell(self) -> None:
        stays = self._paused_until - time.monotonic()
        await self._news.seen(
            drained=self._draining,
            paused=stays if stays > 0 else None,
            why=self._paused_for if stays > 0 else None,
        )
        for work, staging in list(self._running.values()):
            await self._tell_figures(work, staging)

    async def _tell_figures(self, work: Work, staging: Path) -> None:
        figures = read_progress((staging / work.key, self.store / work.key))
        if figures:  # what was copied for a slice is gone once it has ended
            await self._news.figures(work, figures)

    async def run(self, work: Work) -> int:
        """Crawl behind the fence; raises `Taken` where another works on it, or may do so."""
        ours, theirs = socket.socketpair()
        processes, lost = self._processes(theirs), asyncio.Event()

        def stop() -> None:
            lost.set()
            self.say(f"{work.title}: the queue is away, or another works on it: it ends here")
            _end(processes, self.lease / PARTS)

        with theirs, ours:
            async with self._fence.held(work.key, stop):
                await self._news.begins(work)
                self._running[work.key] = work, self.staging
                braked = asyncio.create_task(serve(ours, self._brake))
                crawl = asyncio.ensure_future(self._crawl(work, processes, lost.is_set))
                try:
                    code = await asyncio.shield(crawl)
                except asyncio.CancelledError:
                    _end(processes, _TO_END)
                    with suppress(Taken):
                        await crawl
                    raise
                finally:
                    braked.cancel()
                    await self._tell_figures(*self._running.pop(work.key))
        if lost.is_set():
            raise Taken
        return code

    async def _crawl(self, work: Work, processes: Processes, lost: Callable[[], bool]) -> int:
        async def crawl(staging: Path) -> int:
            self._running[work.key] = work, staging
            elsewhere = staging != self.staging
            given = [f"--set=MAPILLARY_STAGING={staging}"] if elsewhere else []
            code = await processes.run(work.title, [*self.command(work), *given])
            if elsewhere:  # it goes with what it has told
                await self._tell_figures(work, staging)
            return code

        if self.shared is None:
            return await crawl(self.staging)
        signs = Signs(stopped=lambda: processes.stopped, lost=lost)
        return await self.shared.run(work, crawl, signs, partial(self._news.versions, self.lease))

    def _processes(self, end: socket.socket) -> Processes:
        """Return what is to run a crawl, which is given its end of the brake."""
        environment = {**self.environment, FLEET_PACE: str(end.fileno())}
        return Processes(several=True, environment=environment, files=[end.fileno()])

    def slices(self, work: Work) -> Sequence[Slice] | None:
        """Return the slices of the collection, None where it is not cut."""
        of_all = self.shared.slices(work) if self.shared else None
        return self.slices_of(work) if of_all is None else of_all

    async def left_alone(self, work: Work) -> Container[str]:
        """Return the keys of slices that are being crawled, or are shown, as the queue says."""
        return await self._news.left_alone(work)

    async def takes(self, work: Work, code: int, step: Step) -> bool:
        """Tell how a crawl ended on which others follow; pause where the verdict says so."""
        await self._news.ends(work, code)
        if step.next is Next.PAUSE_MACHINE:
            self._paused_until, self._paused_for = (
                time.monotonic() + step.seconds,
                "the disk is full",
            )
            self.say(f"{work.title}: the disk is full; nothing is taken for {step.seconds:.0f} s")
        if step.next is Next.PAUSE_FLEET:
            await self._news.halt(work, f"the token of {self.name} was refused")
            self.say(f"{work.title}: the token was refused; no machine takes anything now")
        if step.next in (Next.PAUSE_MACHINE, Next.PAUSE_FLEET):
            self._queues.clear()
        return True

    async def over(self, work: Work, code: int, step: Step) -> None:
        """Tell how a crawl ended that was the last of its task."""
        await self._news.ends(work, code)
        if step.next is Next.DONE and not work.is_slice:
            await self._news.merged(work)

    def refused(self, title: str, error: Exception) -> None:
        """Say that a task is none of this program's; it is shown."""
        self.say(f"{title} is refused: {error}")

    def trouble(self, work: Work, error: Exception) -> None:
        """Say what ended a task that should not have, unless it is put back."""
        if not isinstance(error, Taken) and not is_away(error):
            self.say(f"{work.title}: {type(error).__name__}: {self.dsn.clean(str(error))}")


def _nothing() -> None:
    """Look after nothing more: there is nothing to be stopped."""


def _end(processes: Processes, seconds: float) -> None:
    """Tell a crawl to end, and end it after some seconds."""
    processes.stop(signal.SIGTERM)
    asyncio.get_running_loop().call_later(seconds, processes.stop, signal.SIGKILL)
