"""Users into the queue, out of it, and into it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.terminal.quoting import brief
from mapillary_crawler.workers.leases import USERS, queue_of
from mapillary_crawler.workers.overview import DONE
from mapillary_crawler.workers.shared import is_anywhere
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


#: The machine that had a collection last, and whether a worker of it is alive. What is finished is
#: in the store of all machines, where they have one.
_HOME = """
SELECT machine, EXISTS (
    SELECT 1 FROM workers WHERE workers.machine = progress.machine
    AND NOT drained AND seen_at > now() - make_interval(secs => %s)
) FROM progress WHERE collection = %s AND slice < 0 AND machine <> ''
AND NOT (exit_code IS NOT NULL AND exit_code = ANY(%s) AND EXISTS (SELECT 1 FROM shared))
"""
#: Names that a line has.
_SHOWN = 3


@dataclass
class Enqueued:
    """What became of users who were to be put into the queue."""

    #: How many were not in it.
    new: int = 0
    #: Names by the machine that has what there is of them: they wait for it.
    stay: dict[str, list[str]] = field(default_factory=dict)
    #: Names by the machine that has it, but no worker now: they are any machine's.
    leave: dict[str, list[str]] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Yield what a person is to know of each machine's users."""
        for machine, names in self.stay.items():
            are, go = ("is", "goes") if len(names) == 1 else ("are", "go")
            yield f"{_names(names)} {are} on {brief(machine)}, and {go} there"
        for machine, names in self.leave.items():
            were = "was" if len(names) == 1 else "were"
            yield (
                f"{_names(names)} {were} on {brief(machine)}, which has no worker now: any machine "
                "may fetch that again"
            )


class _Home(NamedTuple):
    """The machine on whose disk a collection is."""

    machine: str
    is_alive: bool


def enqueue(connection: psycopg.Connection, works: Iterable[Work], lease: float) -> Enqueued:
    """Put users into the queue that are not in it.

    Of whom a machine has something, finished or not, that machine gets: another would fetch all of
    it again. It finds out itself that nothing is to be done.
    """
    queued = {str(row[0]) for row in connection.execute(_QUEUED)}
    is_shared = is_anywhere(connection)
    app, done = make_app(SyncPsycopgConnector()), Enqueued()
    for key, work in {work.key: work for work in works if work.key not in queued}.items():
        home = _home_of(connection, key, lease)
        if not _add(connection, app, work, _queue_of(home)):
            continue
        done.new += 1
        if home and (home.is_alive or not is_shared):
            names = done.stay if home.is_alive else done.leave
            names.setdefault(home.machine, []).append(work.username)
    return done


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
                _add(connection, app, work, _queue_of(_home_of(connection, key, lease)))
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


def _home_of(connection: psycopg.Connection, key: str, lease: float) -> _Home | None:
    """Return whose files a collection's are, None where they are nobody's, or all machines'."""
    found = connection.execute(_HOME, (lease, key, list(DONE))).fetchone()
    return _Home(*found) if found else None


def _queue_of(home: _Home | None) -> str:
    """Return where a collection's tasks wait: for the machine that has its files, if any."""
    return queue_of(home.machine) if home and home.is_alive else USERS


def _names(names: Sequence[str]) -> str:
    shown = [brief(name) for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        return f"{', '.join(shown)} and {len(names) - _SHOWN:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _row(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row
