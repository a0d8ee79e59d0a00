"""Which workers are there, and whether they have something to do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from mapillary_crawler.terminal.json_lines import moment

#: No time is as late, in seconds since 1970, and none as long.
_LAST = 253_402_300_799.0
#: Several workers of one machine are not told apart by what is being done.
_WORKERS = """
SELECT machine, version, jobs, drained, extract(epoch FROM seen_at)::float AS seen_at,
    (extract(epoch FROM now()) - extract(epoch FROM seen_at))::float AS age,
    CASE WHEN paused_until > now() THEN paused_for END AS paused_for,
    machine IN (
        SELECT progress.machine FROM procrastinate_jobs JOIN progress
        ON lock = collection || CASE WHEN slice < 0 THEN '' ELSE '#' || slice END
        WHERE status = 'doing'
    ) AS is_busy
FROM workers ORDER BY machine, id
"""


@dataclass(frozen=True)
class WorkerOfQueue:
    """A process of `scrapy worker`; `state` is one of those that `scrapy queue -h` has."""

    machine: str
    version: str
    jobs: int
    state: str
    #: In seconds since 1970, and how long ago that is.
    seen_at: float
    seconds_unseen: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether it takes nothing, and tells nothing more."""
        return self.state in ("ended", "lost")

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {"kind": "worker", **asdict(self), "seen_at": moment(self.seen_at)}


def workers(connection: psycopg.Connection, lease: float, *, halted: bool) -> list[WorkerOfQueue]:
    """Return all that are known; `lease` is how long one may be silent, in seconds."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_worker(row, lease, halted) for row in cursor.execute(_WORKERS).fetchall()]


def _worker(row: Mapping[str, Any], lease: float, halted: bool) -> WorkerOfQueue:
    seen_at = min(max(0.0, row["seen_at"] or time.time()), _LAST)
    age = round(min(max(0.0, row["age"]), _LAST))
    state = _state(row, lease, halted)
    return WorkerOfQueue(row["machine"], row["version"], row["jobs"], state, seen_at, age)


def _state(row: Mapping[str, Any], lease: float, halted: bool) -> str:
    if row["drained"]:
        return "ended"
    if row["age"] > lease:
        return "lost"
    if row["paused_for"]:
        return f"paused: {row['paused_for']}"
    if row["is_busy"]:
        return "working"
    return "halted" if halted else "idle"
