"""One brake for all machines: the API's limits hold for an application, whoever asks.

Graph API: 10,000 searches and 60,000 entities a minute. A row of the queue's database for each is a
bucket that fills at a rate; a worker leases from it what its crawls need for about a second. Who is
refused (403 with code 4, 429) empties it: nobody asks for as long as the API wants, and then all at
half the rate, which grows by a twentieth a minute, up to four fifths of the limit. Where the row
cannot be reached crawls keep to their static share alone (workers/shares.py).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from procrastinate import PsycopgConnector

from mapillary_crawler.graph.pace import ENTITIES, SEARCHES

logger = logging.getLogger(__name__)

#: Four fifths of what the API allows in a minute.
MOST = {SEARCHES: 8_000.0, ENTITIES: 48_000.0}
#: A rate is never less than this part of the most: it takes an hour to grow back from there.
_LEAST = 1 / 16
#: Seconds for which the API is left alone where it does not say for how long.
_PAUSE = 60.0
#: Seconds of use that are leased at once, within a half to one and a half, and that a bucket holds.
_BLOCK, _BURST = 1.0, 2.0
#: Seconds until it is asked again where nothing is to be had.
_AGAIN = 0.2
_BEGIN = "INSERT INTO brake (application, surface, rate) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
#: Everything is computed from the row as it is once it is locked.
_LEASE = """
WITH locked AS (
    SELECT *, clock_timestamp() AS at FROM brake
    WHERE application = %(application)s AND surface = %(surface)s FOR UPDATE
), grown AS (
    SELECT *, coalesce(paused_until > at, false) AS paused, least(%(most)s, rate * power(1.05,
        greatest(0, extract(epoch FROM at - greatest(grown_at, paused_until))::float / 60)
    )) AS new_rate
    FROM locked
), filled AS (
    SELECT *, CASE WHEN paused THEN 0 ELSE least(greatest(%(least)s, %(burst)s * new_rate / 60),
        tokens + new_rate / 60 * extract(epoch FROM at - changed_at)::float) END AS content
    FROM grown
), granted AS (
    SELECT *, CASE WHEN content < %(least)s THEN 0 ELSE least(floor(content), %(wanted)s) END
        AS got
    FROM filled
)
UPDATE brake SET rate = new_rate, grown_at = at, changed_at = at, tokens = content - got
FROM granted WHERE brake.application = granted.application AND brake.surface = granted.surface
RETURNING got::float,
    coalesce(extract(epoch FROM granted.paused_until - at)::float, 0) AS stays
"""
_REFUSED = """
UPDATE brake SET rate = greatest(%s, rate / 2), tokens = 0, grown_at = clock_timestamp(),
    changed_at = clock_timestamp(),
    paused_until = clock_timestamp() + make_interval(secs => %s)
WHERE application = %s AND surface = %s
    AND (paused_until IS NULL OR paused_until < clock_timestamp())
"""


def application_of(token: str) -> str:
    """Return what a token's limits hold for; nothing of its secret.

    Graph API: MLY|application|secret.
    """
    parts = token.split("|")
    return parts[1] if len(parts) == 3 and parts[1].isascii() and parts[1].isdigit() else "unknown"


@dataclass
class _Purse:
    """What is leased of one surface, and how fast it is used."""

    tokens: float = 0.0
    spent: float = 0.0
    since: float = field(default_factory=time.monotonic)
    #: What was used in the last second or so.
    use: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def spend(self, amount: float) -> None:
        self.tokens -= amount
        self.spent += amount
        passed = time.monotonic() - self.since
        if passed >= _BLOCK:
            self.use, self.spent, self.since = self.spent / passed * _BLOCK, 0.0, time.monotonic()


class Brake:
    """The brake as one worker knows it, for all its crawls."""

    def __init__(self, connector: PsycopgConnector, application: str) -> None:
        self._connector = connector
        self._application = application
        self._purses = {surface: _Purse() for surface in MOST}

    async def begin(self) -> None:
        """Make the rows of the application, where there are none."""
        with suppress(psycopg.Error):
            async with self._connector.pool.connection() as connection:
                for surface, rate in MOST.items():
                    await connection.execute(_BEGIN, (self._application, surface, rate))

    async def take(self, surface: str, amount: int) -> None:
        """Wait until so many may be asked for."""
        purse = self._purses[surface]
        async with purse.lock:
            while purse.tokens < amount:
                try:
                    got, stays = await self._lease(surface, amount - purse.tokens, purse.use)
                except psycopg.Error:  # then the static share holds, which the crawl keeps itself
                    return
                purse.tokens += got
                if not got:
                    await asyncio.sleep(max(_AGAIN, min(stays, _PAUSE)) * random.uniform(1, 1.5))
            purse.spend(amount)

    async def refused(self, surface: str, seconds: float | None) -> None:
        """Tell all machines that the API has refused more, and for how long it wants to rest."""
        self._purses[surface].tokens = 0.0
        stays = _PAUSE if seconds is None else seconds
        with suppress(psycopg.Error):
            async with self._connector.pool.connection() as connection:
                await connection.execute(
                    _REFUSED, (_LEAST * MOST[surface], stays, self._application, surface)
                )

    async def _lease(self, surface: str, least: float, use: float) -> tuple[float, float]:
        """Return what was to be had, and the seconds for which nothing is."""
        given = {
            "application": self._application,
            "surface": surface,
            "most": MOST[surface],
            "least": least,
            "wanted": math.ceil(max(least, use * random.uniform(0.5, 1.5))),
            "burst": _BURST,
        }
        async with self._connector.pool.connection() as connection:
            row = await (await connection.execute(_LEASE, given)).fetchone()
        return (float(row[0]), max(0.0, float(row[1]))) if row else (least, 0.0)


async def serve(end: socket.socket, brake: Brake) -> None:
    """Let one crawl take from the brake, over its end of a pair of sockets, until it has ended.

    crawl/fleet_pace.py is the other end, and has what is said there.
    """
    reader, writer = await asyncio.open_connection(sock=end)
    asking: set[asyncio.Task[None]] = set()

    async def take(surface: str, amount: int) -> None:
        await brake.take(surface, amount)
        writer.write(f"go {surface}\n".encode())

    def begin(asked: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(asked)
        asking.add(task)
        task.add_done_callback(asking.discard)

    try:
        while line := await reader.readline():
            word, surface, number = line.decode("ascii", "replace").split()
            if surface not in MOST:
                continue
            if word == "take":
                begin(take(surface, int(number)))
            else:
                begin(brake.refused(surface, None if number == "-" else float(number)))
    except (OSError, ValueError) as error:
        logger.debug("A crawl's end of the brake: %s", error)
    finally:
        for task in asking:
            task.cancel()
        writer.close()
