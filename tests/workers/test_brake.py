"""The API's limits hold for all machines together."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from procrastinate import PsycopgConnector

from mapillary_crawler.crawl.fleet_pace import FLEET_PACE, FleetPace
from mapillary_crawler.graph.pace import ENTITIES, SEARCHES
from mapillary_crawler.workers import brake, schema
from mapillary_crawler.workers.brake import Brake, application_of, serve
from mapillary_crawler.workers.database import connected, parameters
from mapillary_crawler.workers.dsn import read_dsn


@pytest.mark.parametrize(
    ("token", "application"),
    [
        ("MLY|123|0123456789abcdef0123456789abcdef", "123"),
        ("MLY|secretsecret|x", "unknown"),
        ("secretsecretsecret", "unknown"),
        ("a|b|c|d", "unknown"),
    ],
)
def test_what_is_known_of_a_token_is_its_application_alone(token: str, application: str) -> None:
    assert application_of(token) == application


@asynccontextmanager
async def brakes(address: str, count: int) -> AsyncIterator[list[Brake]]:
    """Give the brakes of several workers."""
    dsn = read_dsn({"MAPILLARY_QUEUE": address})
    with connected(dsn) as queue:
        schema.init(queue)
    connectors = [
        PsycopgConnector(conninfo=dsn.conninfo, kwargs=parameters(dsn), min_size=1, max_size=4)
        for _ in range(count)
    ]
    for connector in connectors:
        await connector.open_async()
    made = [Brake(connector, "1") for connector in connectors]
    await made[0].begin()
    try:
        yield made
    finally:
        for connector in connectors:
            await connector.close_async()


def rate(address: str, surface: str = ENTITIES) -> float:
    with psycopg.connect(address) as queue:
        row = queue.execute(
            "SELECT rate FROM mapillary_crawler.brake WHERE surface = %s", (surface,)
        ).fetchone()
    assert row is not None
    return float(row[0])


def change(address: str, change_to: str) -> None:
    with psycopg.connect(address, autocommit=True) as queue:
        queue.execute(f"UPDATE mapillary_crawler.brake SET {change_to}".encode())


@pytest.mark.long
def test_all_together_stay_below_the_limit(queue_address: str) -> None:
    """Four of several crawls each ask for as much as they can."""

    async def ask() -> tuple[int, float]:
        async with brakes(queue_address, 4) as made:
            granted, began = 0, time.monotonic()

            async def crawl(one: Brake) -> None:
                nonlocal granted
                while time.monotonic() - began < 4:
                    await one.take(ENTITIES, 50)
                    granted += 50

            await asyncio.gather(*(crawl(one) for one in made for _ in range(3)))
            return granted, time.monotonic() - began

    granted, seconds = asyncio.run(ask())
    a_second = brake.MOST[ENTITIES] / 60
    assert granted <= a_second * (seconds + brake._BURST)
    assert granted >= a_second  # and they do ask


@pytest.mark.long
def test_a_refusal_stops_all_once_and_halves_the_rate(queue_address: str) -> None:
    async def ask() -> None:
        async with brakes(queue_address, 2) as (one, other):
            await one.take(ENTITIES, 10)
            await other.take(SEARCHES, 1)
            for each in (one, other, one):  # several crawls are refused at once
                await each.refused(ENTITIES, 600)
            for each in (one, other):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(each.take(ENTITIES, 1), 1.5)
            await asyncio.wait_for(other.take(SEARCHES, 1), 30)  # its own limit

    asyncio.run(ask())
    assert rate(queue_address) == brake.MOST[ENTITIES] / 2
    assert rate(queue_address, SEARCHES) == brake.MOST[SEARCHES]


@pytest.mark.long
def test_the_rate_grows_again_up_to_four_fifths_of_the_limit(queue_address: str) -> None:
    async def ask() -> None:
        async with brakes(queue_address, 1) as (one,):
            change(queue_address, "rate = 24000, grown_at = now() - interval '10 minutes'")
            await one.take(ENTITIES, 1)
            assert 24000 * 1.05**10 <= rate(queue_address) < 24000 * 1.05**11
            change(queue_address, "grown_at = now() - interval '1 day'")
            one._purses[ENTITIES].tokens = 0
            await one.take(ENTITIES, 1)
            assert rate(queue_address) == brake.MOST[ENTITIES]

    asyncio.run(ask())


@pytest.mark.long
def test_where_the_row_cannot_be_reached_the_static_share_is_all_there_is(
    queue_address: str,
) -> None:
    async def ask() -> None:
        async with brakes(queue_address, 1) as (one,):
            with psycopg.connect(queue_address, autocommit=True) as queue:
                queue.execute("DROP TABLE mapillary_crawler.brake")
            await asyncio.wait_for(one.take(ENTITIES, 50), 30)
            await one.refused(ENTITIES, None)

    asyncio.run(ask())


class Noted:
    """A brake that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.open = asyncio.Event()

    async def take(self, surface: str, amount: int) -> None:
        self.asked.append((surface, amount))
        await self.open.wait()

    async def refused(self, surface: str, seconds: float | None) -> None:
        self.asked.append((f"refused {surface}", seconds))


def test_a_crawl_asks_its_worker_and_waits_for_nobody_when_that_is_gone() -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        noted = Noted()
        served = asyncio.create_task(serve(ours, noted))  # type: ignore[arg-type]
        pace = FleetPace.of({FLEET_PACE: str(os.dup(theirs.fileno()))})
        theirs.close()
        assert pace is not None
        both = asyncio.gather(pace.take(SEARCHES, 1), pace.take(ENTITIES, 50))
        while len(noted.asked) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not both.done()
        noted.open.set()
        await both
        await pace.refused(ENTITIES, 30.5)
        await pace.refused(SEARCHES, None)
        await pace.take(ENTITIES, 3)
        assert sorted(noted.asked[:2]) == [(ENTITIES, 50), (SEARCHES, 1)]
        assert noted.asked[2:] == [
            (f"refused {ENTITIES}", 30.5), (f"refused {SEARCHES}", None), (ENTITIES, 3),
        ]  # fmt: skip
        noted.open.clear()
        waits = asyncio.create_task(pace.take(SEARCHES, 1))
        await asyncio.sleep(0.05)
        assert not waits.done()
        served.cancel()
        await asyncio.wait_for(waits, 30)
        await asyncio.wait_for(pace.take(SEARCHES, 1), 30)
        await asyncio.sleep(0)

    asyncio.run(talk())


@pytest.mark.parametrize("number", ["", "x", "987654"])
def test_who_was_started_by_no_worker_asks_nobody(number: str) -> None:
    assert FleetPace.of({FLEET_PACE: number}) is None
