"""What is in the queue: users, their slices, machines, rates and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.terminal.quantities import duration
from mapillary_crawler.workers.attendance import WorkerOfQueue, workers
from mapillary_crawler.workers.leases import SHARED, queue_of, shared_version
from mapillary_crawler.workers.news import WHOLE, place_of
from mapillary_crawler.workers.tasks import ARCHIVE_SLICE, ARCHIVE_USER
from mapillary_crawler.workers.work import Work, read_work

#: Seconds after which figures of a crawl say nothing of now.
_STALE = 60.0
#: No number of images, bytes or seconds is as large.
_MOST = 2**63
_OF_SLICES = ("saved", "gone", "unavailable", "failed", "bytes_saved")
_NUMBERS = (*_OF_SLICES, "listed")
#: By collection and state; what each holds is looked at where it has failed.
_TASKS = """
SELECT split_part(lock, '#', 1) AS collection, args ->> 'username' AS username,
    task_name = %s AS is_slice, status::text, abort_requested,
    coalesce(scheduled_at > now(), false) AS later, count(*) AS tasks,
    (extract(epoch FROM min(scheduled_at)) - extract(epoch FROM now()))::float AS seconds
FROM procrastinate_jobs WHERE lock IS NOT NULL AND status <> 'failed'
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY max(priority) DESC, min(id)
"""
#: Of those who wait for a machine, or were handed out, by whom none is that could go on.
_WAITING = """
SELECT DISTINCT split_part(lock, '#', 1) AS collection, queue_name AS queue
FROM procrastinate_jobs WHERE status = 'todo'
AND (starts_with(queue_name, %(machine)s) OR starts_with(queue_name, %(shared)s))
AND NOT EXISTS (
    SELECT 1 FROM workers WHERE queue_name IN (%(machine)s || machine, %(shared)s || version)
    AND NOT drained AND seen_at > now() - make_interval(secs => %(lease)s)
)
"""
_FAILED = """
SELECT id, task_name, args, abort_requested FROM procrastinate_jobs WHERE status = 'failed'
ORDER BY priority DESC, id
"""
_PROGRESS = """
SELECT collection, slice, username, machine, exit_code, figures,
    (extract(epoch FROM now()) - extract(epoch FROM changed_at))::float AS age
FROM progress ORDER BY collection, slice
"""


@dataclass
class UserInQueue:
    """What is known of a user's collection; `state` is one of those that `scrapy queue -h` has."""

    username: str
    collection: str
    state: str
    machine: str | None = None
    exit_code: int | None = None
    #: Slices that are known of: in the queue, being crawled, or ended.
    slices: int = 0
    slices_begun: int = 0
    slices_ended: int = 0
    listed: int = 0
    saved: int = 0
    gone: int = 0
    unavailable: int = 0
    failed: int = 0
    #: None until some are listed: nobody knows yet.
    left: int | None = None
    bytes_saved: int = 0
    images_per_second: float = 0.0
    seconds_left: float | None = None
    #: Until it is tried again, where that is later.
    seconds_to_wait: int | None = None
    #: The machine on whose disk it is, where that has no worker now.
    waits_for_machine: str | None = None
    #: Version of the program that goes on with it, where no machine has that now.
    waits_for_version: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is done for it by itself."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def words(self) -> str:
        """Its state, and why or until when it is in it, as far as that can be said in short."""
        if self.has_ended and self.exit_code:
            return f"{self.state} ({self.exit_code})"
        if self.state == "later" and self.seconds_to_wait is not None:
            return f"later, in {duration(self.seconds_to_wait)}"
        if self.state == "waiting" and self.waits_for_machine is not None:
            return "waiting for its machine"
        return self.state

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {"kind": "user", **asdict(self)}


@dataclass(frozen=True)
class RefusedTask:
    """A task that is none of this program's: nothing of it was done."""

    task: int
    reason: str

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {"kind": "refused", **asdict(self)}


@dataclass
class Overview:
    """All of it, users in their order."""

    users: dict[str, UserInQueue] = field(default_factory=dict)
    workers: list[WorkerOfQueue] = field(default_factory=list)
    refused: list[RefusedTask] = field(default_factory=list)
    #: Why no machine takes anything; None where they do.
    halted: str | None = None

    @property
    def images_per_second(self) -> float:
        """Images that all machines together save a second."""
        return sum(user.images_per_second for user in self.users.values())

    @property
    def seconds_left(self) -> float | None:
        """How long those that are listed take at this rate; None while that is not known."""
        left = sum(user.left or 0 for user in self.users.values() if not user.has_ended)
        rate = self.images_per_second
        return left / rate if rate and left else None

    def fields(self) -> Iterator[dict[str, Any]]:
        """Yield everything as JSON can hold it, the sum last."""
        yield from (user.fields() for user in self.users.values())
        yield from (worker.fields() for worker in self.workers)
        yield from (task.fields() for task in self.refused)
        states = [user.state for user in self.users.values()]
        left = self.seconds_left
        yield {
            "kind": "sum",
            "users": len(self.users),
            "states": {state: states.count(state) for state in sorted(set(states))},
            "images_per_second": round(self.images_per_second, 1),
            "seconds_left": None if left is None else round(left),
            "halted": self.halted,
        }


def look(connection: psycopg.Connection, lease: float) -> Overview:
    """Return what is in the queue; `lease` is how long a worker may be silent, in seconds."""
    found = Overview()
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(_TASKS, (ARCHIVE_SLICE,)).fetchall():
            user = _user(found, row["username"] or "", row["collection"], _state(row))
            user.slices += row["tasks"] * row["is_slice"]
            _add_wait(user, row)
        names = {"machine": queue_of(""), "shared": SHARED, "lease": lease}
        for row in cursor.execute(_WAITING, names).fetchall():
            _add_absent(found, row["collection"], row["queue"])
        for row in cursor.execute(_FAILED).fetchall():
            _add_failed(found, row)
        for row in cursor.execute(_PROGRESS).fetchall():
            _add_progress(found, row)
        halt = cursor.execute("SELECT username, machine, reason FROM halt").fetchone()
    if halt:
        found.halted = f"{halt['reason']} ({halt['username']})"
    found.workers = workers(connection, lease, halted=found.halted is not None)
    for user in found.users.values():
        if user.state != "later":  # others of its tasks need no waiting for
            user.seconds_to_wait = None
        if user.images_per_second and user.left:
            user.seconds_left = round(user.left / user.images_per_second)
    return found


def _add_wait(user: UserInQueue, row: Mapping[str, Any]) -> None:
    """Add when a task is tried again, of several the first."""
    if row["later"]:
        seconds = round(min(max(0.0, row["seconds"]), _MOST))
        before = user.seconds_to_wait
        user.seconds_to_wait = seconds if before is None else min(before, seconds)


def _add_absent(found: Overview, collection: str, queue: str) -> None:
    """Add for what a user waits that is not there."""
    if user := found.users.get(collection):
        version = shared_version(queue)
        if version is None:
            user.waits_for_machine = queue.removeprefix(queue_of(""))
        else:
            user.waits_for_version = version


def _add_failed(found: Overview, row: Mapping[str, Any]) -> None:
    """Add a task that ended, or one that a stranger has written."""
    try:
        work = _work(row["task_name"], row["args"])
    except (ArgumentRefused, TypeError) as error:
        reason = "it has fields that no task has" if isinstance(error, TypeError) else str(error)
        found.refused.append(RefusedTask(row["id"], reason))
        return
    state = "cancelled" if row["abort_requested"] else "failed"
    _user(found, work.username, place_of(work.key)[0], state).slices += work.is_slice


def _user(found: Overview, username: str, collection: str, state: str) -> UserInQueue:
    """Return a user, whose state is now the first of `_WEIGHT` that a task of it has."""
    user = found.users.setdefault(collection, UserInQueue(username, collection, state))
    user.state = min(user.state, state, key=_WEIGHT.index)
    return user


def _work(name: str, fields: Mapping[str, Any]) -> Work:
    """Return what a task is about; raises `ArgumentRefused`, or TypeError for its fields."""
    if name not in (ARCHIVE_USER, ARCHIVE_SLICE):
        raise ArgumentRefused(f"there is no task {name!r}")
    work = read_work(**fields)
    if work.is_slice != (name == ARCHIVE_SLICE):
        raise ArgumentRefused("the task's number is none of a slice")
    return work


#: Exit codes of a user that is finished, or has nothing.
DONE = (Outcome.COMPLETE.exit_code, Outcome.NO_IMAGES.exit_code)
#: Of several tasks of a user, the state that is shown.
_WEIGHT = ("running", "failed", "cancelled", "waiting", "later")


def _state(row: Mapping[str, Any]) -> str:
    if row["status"] == "todo":
        return "later" if row["later"] else "waiting"
    running = row["status"] == "doing" and not row["abort_requested"]
    return "running" if running else "cancelled"


def _add_progress(found: Overview, row: Mapping[str, Any]) -> None:
    """Add what is known of a collection, or of a slice: the slices of each come after it."""
    collection, code, figures = row["collection"], row["exit_code"], row["figures"]
    is_slice = row["slice"] != WHOLE
    user = found.users.setdefault(
        collection, UserInQueue(row["username"], collection, "failed")
    )  # without a task, so it is not gone on with
    user.machine = row["machine"] or None
    if is_slice:
        has_ended = code in (Outcome.COMPLETE.exit_code, Outcome.INCOMPLETE.exit_code)
        if not user.slices_begun:  # what was saved before is theirs
            user.saved = user.gone = user.unavailable = user.failed = user.bytes_saved = 0
        user.slices_begun += 1
        user.slices_ended += has_ended
        user.slices += has_ended
    else:
        user.exit_code = code
        if user.state == "failed" and code in DONE:
            user.state = "done"
    for name in _OF_SLICES if is_slice else _NUMBERS:
        setattr(user, name, getattr(user, name) + int(_number(figures, name)))
    if is_slice and user.listed:
        settled = user.saved + user.gone + user.unavailable + user.failed
        user.left = max(0, user.listed - settled)
    elif not is_slice and (user.listed or user.state == "done"):
        user.left = int(_number(figures, "left"))
    if code is None and row["age"] < _STALE:
        user.images_per_second += _number(figures, "images_per_second")


def _number(figures: Any, name: str) -> float:
    """Return a number of a crawl's figures; 0 for what no crawl has told."""
    value = figures.get(name) if isinstance(figures, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST:
        return value
    return 0
