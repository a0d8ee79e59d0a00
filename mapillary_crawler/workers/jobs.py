"""How a worker is known to the queue, and goes on to be: procrastinate's, but for three things.

Its worker looks after the heartbeats and the listening only until the first of them has ended, and
that of periodic tasks ends at once, since there are none: had one failed, nobody would know. The
worker would go on without a sign of life, be taken for dead, and end with its next task: one that
the queue does not know cannot take any. So neither fails here, and who was taken for dead is known
again. What could not be told of a task while the queue was away is told once it is back. And a task
that is another's by now is no trouble of whom it was before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

logger = logging.getLogger(__name__)

#: Under the number that it has, though the row is gone: its tasks there may be are under that.
_IS_THERE = """
INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s)
ON CONFLICT (id) DO UPDATE SET last_heartbeat = now()
RETURNING xmax = 0 AS came_back
"""


def is_away(error: BaseException) -> bool:
    """Say whether an error is the queue's being away, not what it thinks of what was asked."""
    cause = error.__cause__ if isinstance(error, ConnectorException) else error
    return isinstance(cause, psycopg.OperationalError)


class Jobs(JobManager):
    """procrastinate's for one worker, which tries to listen again after `again` seconds."""

    def __init__(self, connector: BaseConnector, again: float = 1.0) -> None:
        super().__init__(connector)
        self._again = again
        #: What the queue has not been told of tasks, since it was away.
        self._owed: list[Callable[[], Awaitable[None]]] = []

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Take a task, as one that is known to be there."""
        await self._tell_of(worker_id)
        return await super().fetch_job(queues, worker_id)

    async def update_heartbeat(self, worker_id: int) -> None:
        """Tell that a worker is there, and what is owed; where the queue is away, the next does."""
        try:
            await self._tell_of(worker_id)
        except ConnectorException as error:
            logger.debug("No heartbeat: %r", error.__cause__)
            return
        owed, self._owed = self._owed, []
        for tell in owed:
            await tell()

    async def listen_for_jobs(self, **named: Any) -> None:
        """Hear of tasks; begin again where the connection is lost."""
        while True:
            with suppress(ConnectorException):
                await super().listen_for_jobs(**named)
            await asyncio.sleep(self._again)

    async def retry_job(self, job: Job, *given: Any, **named: Any) -> None:
        """Let a task wait again; end it where what follows on it waits already.

        Else it would be done for ever by nobody.
        """
        again = partial(self.retry_job, job, *given, **named)
        try:
            await self._settle(job, super().retry_job(job, *given, **named), again)
        except UniqueViolation:
            await self.finish_job(job, Status.ABORTED, delete_job=True)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """End a task."""
        again = partial(self.finish_job, job, status, delete_job)
        await self._settle(job, super().finish_job(job, status, delete_job), again)

    async def _settle(
        self, job: Job, told: Awaitable[None], again: Callable[[], Awaitable[None]]
    ) -> None:
        """Tell what has become of a task, or tell it later; it may be another's by now."""
        try:
            await told
        except ConnectorException as error:
            if is_away(error):
                self._owed.append(again)
            elif isinstance(error.__cause__, psycopg.errors.RaiseException):
                logger.info("%s is another's by now", job.lock)
            else:
                raise

    async def _tell_of(self, worker_id: int) -> None:
        row = await self.connector.execute_query_one_async(_IS_THERE, worker_id=worker_id)
        if row["came_back"]:
            logger.warning("This worker was taken for dead; it is back, and goes on")
