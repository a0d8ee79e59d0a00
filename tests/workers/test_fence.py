"""Two never work on the same, whoever is paused, cut off or thought dead."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import psycopg
import pytest

from mapillary_crawler.workers.dsn import read_dsn
from mapillary_crawler.workers.fence import Fence, Taken
from tests.workers.postgres import Postgres

pytestmark = pytest.mark.long

#: Seconds.
LEASE = 1.2


def fence(address: str, lease: float = LEASE) -> Fence:
    return Fence(read_dsn({"MAPILLARY_QUEUE": address}), lease)


def nothing() -> None:
    pass


async def until(happened: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110  what others do sets no event
            await asyncio.sleep(0.02)


def end_sessions(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'mapillary_crawler' "
            "AND datname = current_database()"
        )


def test_what_one_works_on_nobody_else_does(queue_address: str) -> None:
    async def both() -> None:
        one, other = fence(queue_address), fence(queue_address)
        async with one.held("alice#1", nothing), other.held("alice#2", nothing):
            for each in (one, other):  # the server would give it to the same connection again
                with pytest.raises(Taken):
                    async with each.held("alice#1", nothing):
                        pass
        async with other.held("alice#1", nothing):
            pass
        await one.close()
        await other.close()

    asyncio.run(both())


def test_a_lock_that_came_too_late_is_nobodys(queue_address: str) -> None:
    """Whoever asked for it has given up, or was told to end, while the server gave it."""

    async def given_up() -> None:
        one, other = fence(queue_address), fence(queue_address)
        take = one._take

        async def too_late(key: str) -> bool:
            await take(key)
            return False

        async def cancelled(key: str) -> bool:
            await take(key)
            raise asyncio.CancelledError

        for instead, error in ((too_late, Taken), (cancelled, asyncio.CancelledError)):
            one._take = instead  # type: ignore[method-assign]
            with pytest.raises(error):
                async with one.held("alice", nothing):
                    pass
            one._take = take  # type: ignore[method-assign]
            for each in (other, one):
                async with each.held("alice", nothing):
                    pass
        await one.close()
        await other.close()

    asyncio.run(given_up())


def test_a_worker_that_died_holds_nothing(queue_address: str) -> None:
    async def both() -> None:
        one, other = fence(queue_address), fence(queue_address)
        held = one.held("alice#1", nothing)
        await held.__aenter__()
        await one.close()
        async with other.held("alice#1", nothing):
            pass
        await other.close()

    asyncio.run(both())


def test_a_connection_that_is_cut_is_got_back_with_its_locks(queue_address: str) -> None:
    async def cut() -> None:
        one, other, lost = fence(queue_address), fence(queue_address), asyncio.Event()
        watch = asyncio.create_task(one.watch())
        async with one.held("alice#1", lost.set):
            first = one._backend
            end_sessions(queue_address)
            await until(lambda: one._backend != first)
            with pytest.raises(Taken):
                async with other.held("alice#1", nothing):
                    pass
            assert not lost.is_set()
        watch.cancel()
        await one.close()
        await other.close()

    asyncio.run(cut())


def test_a_session_that_the_server_still_has_is_ended_for_its_lock(queue_address: str) -> None:
    """As behind a cut line: this side has given the connection up, the server has not."""

    async def half_open() -> None:
        one, lost = fence(queue_address), asyncio.Event()
        async with one.held("alice#1", lost.set):
            left = one._connection
            one._connection = None
            await one._get_back()
            assert not lost.is_set()
            assert one._connection is not left
            assert left is not None
            with pytest.raises(psycopg.OperationalError):
                await left.execute("SELECT 1")
        await one.close()

    asyncio.run(half_open())


def test_who_has_lost_it_to_another_hears_of_it(queue_address: str) -> None:
    async def lose() -> None:
        one, other, lost = fence(queue_address, 60), fence(queue_address), asyncio.Event()
        async with one.held("alice#1", lost.set), one.held("alice#2", nothing):
            end_sessions(queue_address)
            async with other.held("alice#1", nothing):
                await one._get_back()
                assert lost.is_set()
                with pytest.raises(Taken):
                    async with other.held("alice#2", nothing):
                        pass
        await one.close()
        await other.close()

    asyncio.run(lose())


def test_where_the_server_stays_away_all_is_lost_before_the_lease_ends(
    postgres: Postgres, queue_address: str
) -> None:
    async def lose() -> float:
        one, lost = fence(queue_address), asyncio.Event()
        watch = asyncio.create_task(one.watch())
        async with one.held("alice#1", lost.set):
            postgres.stop(signal.SIGKILL)
            began = asyncio.get_running_loop().time()
            await until(lost.is_set)
            took = asyncio.get_running_loop().time() - began
        with pytest.raises(Taken):  # nobody can tell who has it
            async with one.held("alice#1", nothing):
                pass
        postgres.start()
        async with one.held("alice#1", nothing):
            pass
        watch.cancel()
        await one.close()
        return took

    try:
        assert asyncio.run(lose()) > 0
    finally:
        postgres.stop()
        postgres.start()
