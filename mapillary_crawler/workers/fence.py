"""The fence: who works on something holds a lock of the server's, on a connection of its own.

A worker that was paused or cut off may be thought dead while it still works. Its lock is held for
as long as its connection is; and once the connection is gone, it stops what it runs before the
lease of its tasks ends, unless it has the lock again by then. In parts of a lease: the connection
is looked at every sixth, an answer may take a sixth, to get it back may take two, and a process has
one to end; heartbeats come every sixth. So it has ended before anybody thinks it dead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import psycopg

from mapillary_crawler.workers.database import parameters
from mapillary_crawler.workers.dsn import Dsn

logger = logging.getLogger(__name__)

#: Parts of a lease.
PARTS = 6
#: What the connection's end is known by.
_GONE = (psycopg.Error, OSError, TimeoutError)
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


class Taken(Exception):
    """Somebody else works on it, or nobody can tell now: to be tried again later."""


class Waits(Taken):
    """This machine cannot do it; it waits in a queue of those that can."""

    def __init__(self, queue: str) -> None:
        super().__init__()
        self.queue = queue


class Fence:
    """The locks of one worker; `watch` runs while there are any."""

    def __init__(self, dsn: Dsn, lease: float) -> None:
        self._dsn = dsn
        self._part = lease / PARTS
        self._held: dict[str, Callable[[], None]] = {}
        self._connection: psycopg.AsyncConnection | None = None
        self._backend = 0
        self._one_at_a_time = asyncio.Lock()
        #: Why there is no connection; None where there is one, or none was wanted.
        self.trouble: Exception | None = None

    @asynccontextmanager
    async def held(self, key: str, lost: Callable[[], None]) -> AsyncIterator[None]:
        """Hold the lock `key` in the context; `lost` is called where it is no longer ours.

        Raises `Taken`.
        """
        if key in self._held:  # the server would give it to the same connection again
            raise Taken
        self._held[key] = lost
        try:
            if not await self._take(key):
                raise Taken
            yield
        finally:
            if self._held.pop(key, None):
                await self._give_back(key)

    async def watch(self) -> None:
        """Look at the connection again and again; get it back, or say that all is lost."""
        while True:
            await asyncio.sleep(self._part)
            if self._connection is None:
                continue
            try:
                await self._execute("SELECT true")
            except _GONE as error:
                logger.warning("The connection that holds the locks is gone")
                self.trouble = error
                await self._get_back()

    async def close(self) -> None:
        """Let go of the connection, and so of all locks."""
        if self._connection:
            await self._connection.close()
            self._connection = None

    async def _take(self, key: str) -> bool:
        try:
            async with self._one_at_a_time:
                if self._connection is None:
                    await self._connect()
            return await self._execute(_LOCK, key)
        except _GONE:
            return False

    async def _give_back(self, key: str) -> None:
        with suppress(*_GONE):
            if self._connection:
                await self._execute(_UNLOCK, key)

    async def _execute(self, statement: str, *values: str) -> bool:
        assert self._connection
        async with asyncio.timeout(self._part):
            cursor = await self._connection.execute(statement.encode(), values)
            row = await cursor.fetchone()
        return bool(row and row[0])

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._part):
                self._connection = await psycopg.AsyncConnection.connect(
                    self._dsn.conninfo, autocommit=True, **parameters(self._dsn)
                )
        except _GONE as error:
            self.trouble = error
            raise
        self._backend = self._connection.info.backend_pid
        if self.trouble:
            logger.warning("The connection that holds the locks is there again")
            self.trouble = None

    async def _get_back(self) -> None:
        """Connect again, and take again what was held; what is not ours any more is lost."""
        until = time.monotonic() + 2 * self._part
        before, connection = self._backend, self._connection
        async with self._one_at_a_time:
            self._connection = None
            if connection:
                with suppress(*_GONE):
                    await connection.close()
            while self._connection is None and time.monotonic() < until:
                try:
                    await self._connect()
                except _GONE:
                    self._connection = None
                    await asyncio.sleep(min(1.0, self._part / 4))
            for key in list(self._held):
                if not await self._has_again(key, before) and (lost := self._held.pop(key, None)):
                    lost()

    async def _has_again(self, key: str, before: int) -> bool:
        """Take a lock on the new connection; one that the old one has left is ended first."""
        if self._connection is None:
            return False
        with suppress(*_GONE):
            if await self._execute(_LOCK, key):
                return True
            # A session that the server still has, though it is cut off: ours, if it holds the lock.
            await self._execute(_END_MINE, str(before), key)
            return await self._execute(_LOCK, key)
        return False


#: Ends the session of a number that holds a lock; a server started anew may give it to others.
_END_MINE = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid = %s::integer AND objsubid = 1
AND (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)
"""
