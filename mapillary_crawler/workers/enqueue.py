"""Users into the queue, out of it, and into it again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.workers.leases import USERS, queue_of
from mapillary_crawler.workers.tasks import ARCHIVE_USER, make_app
from mapillary_crawler.workers.work import Work, read_work

_QUEUED = """
SELECT DISTINCT split_part(lock, '#', 1) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
"""
#: A collection's tasks, its slices' too, but those that are being done.
_FORGET_TASKS = """
DELETE FROM procrastinate_jobs WHERE status <> 'doing' AND split_part(lock, '#', 1) = %s
"""
_TASKS_OF = "SELECT status::text, args FROM procrastinate_jobs WHERE args ->> 'username' = %s"


def enqueue(connection: psycopg.Connection, works: Iterable[Work]) -> int:
    """Put users into the queue that are not in it; return how many."""
    queued = {str(row[0]) for row in connection.execute(_QUEUED)}
    new = {work.key: work for work in works if work.key not in queued}
    app = make_app(SyncPsycopgConnector())
    return sum(_add(connection, app, work, USERS) for work in new.values())


def cancel(connection: psycopg.Connection, username: str) -> int:
    """Cancel what waits of a user, and let what is being done end; return how many tasks."""
    cancelled = connection.execute(
        "SELECT procrastinate_cancel_job_v1(id, true, false) FROM procrastinate_jobs "
        "WHERE args ->> 'username' = %s AND status IN ('todo', 'doing')",
        (username,),
    ).fetchall()
    return sum(row[0] is not None for row in cancelled)


def retry(connection: psycopg.Connection, username: str, lease: float) -> int:
    """Let a user begin again where it is, at once; return how many collections that are.

    What has halted all machines is taken for mended. A user whose machine has no worker is any's.
    """
    wholes: dict[str, tuple[Work, set[str]]] = {}
    for status, fields in connection.execute(_TASKS_OF, (username,)):
        with suppress(ArgumentRefused, TypeError, KeyError):
            work = read_work(fields["username"], fields["arguments"])
            wholes.setdefault(work.key, (work, set()))[1].add(status)
    app = make_app(SyncPsycopgConnector())
    with connection.transaction():
        connection.execute("DELETE FROM halt")
        for key, (work, states) in wholes.items():
            if "doing" not in states:
                _add(connection, app, work, _queue_of(connection, key, lease))
    return len(wholes)


def _add(connection: psycopg.Connection, app: App, work: Work, queue: str) -> bool:
    """Put a user into a queue, behind all who are in it; say whether it was not."""
    with connection.transaction():
        connection.execute(_FORGET_TASKS, (work.key,))
        connection.execute(
            "UPDATE progress SET exit_code = NULL, changed_at = now() "
            "WHERE collection = %s AND slice < 0", (work.key,),
        )  # fmt: skip
        (place,) = _row(connection.execute("SELECT nextval('places')"))
        task = app.configure_task(
            ARCHIVE_USER, lock=work.key, queueing_lock=work.key, queue=queue, priority=-2 * place,
            connection=connection,
        )  # fmt: skip
        with suppress(AlreadyEnqueued), connection.transaction():
            task.defer(**work.fields())
            return True
    return False


def _queue_of(connection: psycopg.Connection, key: str, lease: float) -> str:
    """Return where a collection's tasks wait: for the machine that has its files, if any."""
    found = connection.execute(
        "SELECT machine FROM progress JOIN workers USING (machine) WHERE collection = %s "
        "AND slice < 0 AND NOT drained AND seen_at > now() - make_interval(secs => %s)",
        (key, lease),
    ).fetchone()
    return queue_of(found[0]) if found else USERS


def _row(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row
