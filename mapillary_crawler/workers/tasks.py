"""The tasks, the same on one machine and on many: each runs a crawl and judges its exit code.

The queue is never the truth: what is finished is said by ledgers and manifests. So a task may run
twice, be lost, or come too late; it costs the time to find out.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from procrastinate import App, JobContext
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import DEFAULT_QUEUE
from procrastinate.retry import BaseRetryStrategy

from mapillary_crawler.collection.outcome import ArgumentRefused, ProjectError
from mapillary_crawler.ledger.records import Slice
from mapillary_crawler.workers.verdict import Next
from mapillary_crawler.workers.work import Step, Work, following, read_work

#: Names of the tasks, and that of a worker's `Machine` in its context.
ARCHIVE_USER, ARCHIVE_SLICE, MACHINE = "archive_user", "archive_slice", "machine"


class Machine(Protocol):
    """What tasks need to know of where they run: `additional_context={MACHINE: …}` of a worker."""

    def queue_of(self, work: Work) -> str:
        """Return where what follows on a task waits."""

    async def run(self, work: Work) -> int:
        """Crawl; return the exit code, negative where a signal ended it."""

    def slices(self, work: Work) -> Sequence[Slice] | None:
        """Return the slices of the collection as the ledgers say, None where it is not cut."""

    async def left_alone(self, work: Work) -> Container[str]:
        """Return keys of a user's slices that are being crawled, or that somebody has to look at.

        What a user's own task has come to says nothing of them.
        """

    async def takes(self, work: Work, code: int, step: Step) -> bool:
        """Say whether the works that follow are to be done; there are some."""

    async def over(self, work: Work, code: int, step: Step) -> None:
        """Hear that nothing follows on a task."""

    def refused(self, title: str, error: Exception) -> None:
        """Hear of a task that a stranger may have written: nothing of it is done."""

    def trouble(self, work: Work, error: Exception) -> None:
        """Hear of what should not have happened; it ends the task."""


class Shown(ProjectError):
    """A task that is not tried again by itself."""


def make_app(connector: BaseConnector, retry: BaseRetryStrategy | None = None) -> App:
    """Return procrastinate's App with the tasks, on a queue in memory or in PostgreSQL.

    `retry` says which errors of a task put it back.
    """
    app = App(connector=connector)
    app.tasks.clear()  # its own delete jobs, of whoever they are
    app.task(name=ARCHIVE_USER, pass_context=True, retry=retry or False)(archive_user)
    app.task(name=ARCHIVE_SLICE, pass_context=True, retry=retry or False)(archive_slice)
    return app


async def archive_user(
    context: JobContext, username: Any, arguments: Any, crashes: Any = 0
) -> None:
    """List a user, and fetch; or cut into slices; or merge and finish what was cut."""
    await _perform(context, username, arguments, None, crashes)


async def archive_slice(
    context: JobContext, username: Any, arguments: Any, number: Any, crashes: Any = 0
) -> None:
    """Crawl one slice."""
    await _perform(context, username, arguments, number, crashes)


async def _perform(context: JobContext, *fields: Any) -> None:
    machine: Machine = context.additional_context[MACHINE]
    try:
        work = read_work(*fields)
    except ArgumentRefused as error:
        machine.refused(f"task {context.job.id}", error)
        raise
    try:
        code = await machine.run(work)
        step = following(work, code, machine.slices(work))
        if step.works and await machine.takes(work, code, step):
            # The user's own task goes before the slices that wait: they may be in want of it.
            sooner = work.is_slice and not step.works[0].is_slice
            alone = () if work.is_slice else await machine.left_alone(work)
            await defer(
                context.app,
                [each for each in step.works if not (each.is_slice and each.key in alone)],
                queue=machine.queue_of(work),
                priority=context.job.priority // 2 * 2 + sooner,
                seconds=step.seconds,
            )
        else:
            await machine.over(work, code, step)
    except Exception as error:
        machine.trouble(work, error)
        raise
    if step.next is Next.SHOWN:
        raise Shown(f"{work.title} ended with {code}")


async def defer(
    app: App,
    works: Iterable[Work],
    *,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    seconds: float = 0,
) -> None:
    """Put works into the queue, but those that wait in it already.

    The one of the highest `priority` is done first, then the oldest. Never two at once that would
    write in the same folder. A task that a worker's death has left behind may so meet its own
    follower in the queue: then it is the one too many.
    """
    for work in works:
        task = app.configure_task(
            ARCHIVE_SLICE if work.is_slice else ARCHIVE_USER,
            lock=work.key,
            queueing_lock=work.key,
            queue=queue,
            priority=priority,
            schedule_in={"milliseconds": round(seconds * 1000)} if seconds else None,
        )
        with suppress(AlreadyEnqueued):
            await task.defer_async(**work.fields())
