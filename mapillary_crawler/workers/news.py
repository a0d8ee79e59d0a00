"""What machines tell one another, and people, beside the tasks: nobody relies on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from procrastinate import PsycopgConnector
from psycopg.types.json import Jsonb

from mapillary_crawler.collection.layout import of_slice
from mapillary_crawler.workers.fence import Taken
from mapillary_crawler.workers.work import Work

logger = logging.getLogger(__name__)

#: The number of a collection's row that is no slice's.
WHOLE = -1
_BEGINS = """
INSERT INTO progress (collection, slice, username, machine) VALUES (%s, %s, %s, %s)
ON CONFLICT (collection, slice) DO UPDATE SET machine = excluded.machine, exit_code = NULL,
    figures = '{}', began_at = now(), changed_at = now()
"""
_FIGURES = """
UPDATE progress SET figures = %s, changed_at = now() WHERE (collection, slice) = (%s, %s)
"""
_ENDS = """
UPDATE progress SET exit_code = %s, changed_at = now() WHERE (collection, slice) = (%s, %s)
"""
_LEFT_ALONE = """
SELECT array_agg(lock) FROM procrastinate_jobs
WHERE status IN ('doing', 'failed') AND split_part(lock, '#', 1) = %s
"""
_WORKER = "INSERT INTO workers (machine, version, jobs) VALUES (%s, %s, %s) RETURNING id"
_VERSIONS = """
SELECT DISTINCT version FROM workers
WHERE NOT drained AND seen_at > now() - make_interval(secs => %s)
"""
_SEEN = """
UPDATE workers SET seen_at = now(), drained = %s,
    paused_until = now() + make_interval(secs => %s), paused_for = %s WHERE id = %s
"""
_HALT = "INSERT INTO halt (username, machine, reason) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"


def place_of(key: str) -> tuple[str, int]:
    """Return the collection and the slice of a task's lock."""
    collection, number = of_slice(key)
    return collection, WHOLE if number is None else number


class News:
    """What one machine tells; what cannot be told now is told by the next that follows."""

    def __init__(self, connector: PsycopgConnector, machine: str) -> None:
        self._connector = connector
        self._machine = machine
        self._worker: int | None = None

    async def begins(self, work: Work) -> None:
        """Tell that a crawl begins here."""
        await self._tell(_BEGINS, *place_of(work.key), work.username, self._machine)

    async def figures(self, work: Work, figures: Mapping[str, Any]) -> None:
        """Tell how far a crawl is, as its `progress.json` has it."""
        await self._tell(_FIGURES, Jsonb(dict(figures)), *place_of(work.key))

    async def ends(self, work: Work, code: int) -> None:
        """Tell with which exit code a crawl has ended."""
        await self._tell(_ENDS, code, *place_of(work.key))

    async def merged(self, work: Work) -> None:
        """Tell that a collection is whole again: its slices are no more."""
        collection, _ = place_of(work.key)
        await self._tell(
            "DELETE FROM progress WHERE collection = %s AND slice <> %s", collection, WHOLE
        )

    async def left_alone(self, work: Work) -> set[str]:
        """Return the keys of a collection's tasks that are being done, or have failed."""
        row = await self._ask(_LEFT_ALONE, work.key)
        return set(row[0] or ()) if row else set()

    async def halt(self, work: Work, reason: str) -> None:
        """Tell all machines to take nothing more until somebody has looked."""
        await self._tell(_HALT, work.username, self._machine, reason)

    async def halted(self) -> str | None:
        """Return why nobody is to take anything; None where there is no reason."""
        row = await self._ask("SELECT username, reason FROM halt")
        return None if row is None else f"{row[0]}: {row[1]}"

    async def starts(self, version: str, jobs: int) -> None:
        """Tell that a worker of this machine is there; those before it that are gone, are."""
        await self._tell(
            "DELETE FROM workers WHERE machine = %s AND (drained OR seen_at < now() - "
            "interval '1 minute')", self._machine,
        )  # fmt: skip
        row = await self._ask(_WORKER, self._machine, version, jobs)
        self._worker = None if row is None else int(row[0])

    async def versions(self, lease: float) -> set[str]:
        """Return which versions of the program work now, `lease` seconds without a sign at most.

        Raises `Taken` where the queue does not say: who took none for the answer would take back
        what others have in hand.
        """
        try:
            async with self._connector.pool.connection() as connection:
                cursor = await connection.execute(_VERSIONS, (lease,))
                return {str(row[0]) for row in await cursor.fetchall()}
        except psycopg.Error as error:
            logger.debug("Not asked: %s", type(error).__name__)
            raise Taken from None

    async def seen(
        self, *, drained: bool = False, paused: float | None = None, why: str | None = None
    ) -> None:
        """Tell that it is still there, or has been told to end; for how long it takes nothing."""
        await self._tell(_SEEN, drained, paused, why, self._worker)

    async def _tell(self, statement: str, *values: Any) -> None:
        try:
            async with self._connector.pool.connection() as connection:
                await connection.execute(statement.encode(), values)
        except psycopg.Error as error:
            logger.debug("Not told: %s", type(error).__name__)

    async def _ask(self, statement: str, *values: Any) -> Sequence[Any] | None:
        try:
            async with self._connector.pool.connection() as connection:
                cursor = await connection.execute(statement.encode(), values)
                return await cursor.fetchone()
        except psycopg.Error as error:
            logger.debug("Not asked: %s", type(error).__name__)
            return None
