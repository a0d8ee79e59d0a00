"""What becomes of the tasks of workers that are gone: others get them.

procrastinate knows by heartbeats which these are, and leaves them alone. This is done beside the
tasks, not as one of them, so that it never waits for a place, nor is left behind itself.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.workers.news import place_of
from mapillary_crawler.workers.tasks import ARCHIVE_SLICE, ARCHIVE_USER
from mapillary_crawler.workers.work import read_work

logger = logging.getLogger(__name__)

#: The queue of those whom no machine has taken yet.
USERS = "users"
_MACHINE = "machine "
#: What begins that of those who were handed out: any machine's whose program has cut them.
SHARED = "shared "
_LOST = """
SELECT machine FROM workers GROUP BY machine
HAVING bool_and(NOT drained AND seen_at < now() - make_interval(secs => %s))
"""
#: A version that no machine has any more; one whose workers were told to end is waited for.
_LOST_VERSIONS = """
SELECT DISTINCT queue_name FROM procrastinate_jobs WHERE status = 'todo'
AND starts_with(queue_name, %s) AND NOT EXISTS (
    SELECT 1 FROM workers WHERE queue_name = %s || version
    AND (drained OR seen_at > now() - make_interval(secs => %s))
)
"""
_USERS_OF_THE_LOST = """
UPDATE procrastinate_jobs SET queue_name = %s
WHERE status = 'todo' AND task_name = %s AND queue_name = ANY(%s)
"""
_SLICES_OF_THE_LOST = """
DELETE FROM procrastinate_jobs
WHERE status = 'todo' AND task_name = %s AND queue_name = ANY(%s)
RETURNING args, priority
"""
#: A new task for the old: whom it was taken from may come back, and end the old one.
_REPLACE = """
WITH gone AS (DELETE FROM procrastinate_jobs WHERE id = %s AND status = 'doing' RETURNING *)
INSERT INTO procrastinate_jobs
    (queue_name, task_name, priority, lock, queueing_lock, args, attempts, status)
SELECT coalesce(%s, queue_name), task_name, priority, lock, queueing_lock, args, attempts + 1,
    CASE WHEN abort_requested THEN 'cancelled' ELSE 'todo' END::procrastinate_job_status
FROM gone ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM workers WHERE NOT drained AND seen_at < now() - interval '1 day'"


def queue_of(machine: str) -> str:
    """Return the queue of those whose collections lie on a machine's disk."""
    return f"{_MACHINE}{machine}"


def shared_queue(version: str) -> str:
    """Return the queue of those who were handed out by a version of this program."""
    return f"{SHARED}{version}"


def shared_version(queue: str) -> str | None:
    """Return of which version a queue is, None for any other."""
    return queue.removeprefix(SHARED) if queue.startswith(SHARED) else None


async def take_over(app: App, lease: float) -> None:
    """Put back the tasks of workers that are gone, `lease` seconds without a sign of life.

    They wait for their machine, where their files are, if it has another worker; else for any. What
    was handed out is any machine's at once.
    Raises procrastinate's `ConnectorException` and psycopg's `Error`.
    """
    manager = app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=lease):
        await _put_back(app, job)
    await manager.prune_stalled_workers(lease)
    async with _pool(app).connection() as connection:
        await _hand_over(app, connection, lease)


async def _put_back(app: App, job: Job) -> None:
    is_shared = shared_version(job.queue) is not None
    machine = "" if is_shared else await _machine_of(app, job)
    logger.info("Nobody works on %s any more: it waits again", job.lock)
    async with _pool(app).connection() as connection:
        await connection.execute(_REPLACE, (job.id, queue_of(machine) if machine else None))


async def _machine_of(app: App, job: Job) -> str:
    """Return on which machine's disk a task's files are, nothing where that is not known."""
    async with _pool(app).connection() as connection:
        cursor = await connection.execute(
            "SELECT machine FROM progress WHERE (collection, slice) = (%s, %s)",
            place_of(job.lock or ""),
        )
        row = await cursor.fetchone()
    return str(row[0]) if row else ""


async def _hand_over(app: App, connection: psycopg.AsyncConnection[Any], lease: float) -> None:
    """Give the users of machines that are lost to any other, which begins them anew.

    What they were cut into is known to the lost machine alone. So it is done with what was handed
    out by a version that is no more: another takes the slices back.
    """
    cursor = await connection.execute(_LOST, (lease,))
    lost = [queue_of(row[0]) for row in await cursor.fetchall()]
    cursor = await connection.execute(_LOST_VERSIONS, (SHARED, SHARED, lease))
    lost += [row[0] for row in await cursor.fetchall()]
    await connection.execute(_USERS_OF_THE_LOST, (USERS, ARCHIVE_USER, lost))
    cursor = await connection.execute(_SLICES_OF_THE_LOST, (ARCHIVE_SLICE, lost))
    wholes = {}
    for fields, priority in await cursor.fetchall():
        with suppress(ArgumentRefused, KeyError):
            work = read_work(fields["username"], fields["arguments"])
            wholes[work.key] = (work, priority)
    for key, (work, priority) in wholes.items():
        task = app.configure_task(
            ARCHIVE_USER, lock=key, queueing_lock=key, queue=USERS, priority=priority,
            connection=connection,
        )  # fmt: skip
        with suppress(AlreadyEnqueued):
            async with connection.transaction():
                await task.defer_async(**work.fields())
    await connection.execute(_FORGET)


def _pool(app: App) -> Any:
    connector = app.connector
    assert isinstance(connector, PsycopgConnector)
    return connector.pool
