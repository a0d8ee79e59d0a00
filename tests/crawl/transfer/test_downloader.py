"""Slot limits that hold, under growth, cancellation, pauses and a stop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl.transfer.brake import Brake
from mapillary_crawler.crawl.transfer.downloader import BRAKE, TRANSFER_STARTED, LimitedDownloader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

SLOT = "images"


class Server:
    """Stands in for Scrapy's download handlers: holds each request until told to answer."""

    def __init__(self) -> None:
        self.waiting: dict[Request, asyncio.Future[None]] = {}
        self.peak = 0
        self.served = 0
        self._arrival = asyncio.Event()

    async def holds(self, count: int) -> None:
        """Wait until so many requests are in flight."""
        while len(self.waiting) < count:
            self._arrival.clear()
            await self._arrival.wait()

    async def download_request_async(self, request: Request) -> Response:
        self.waiting[request] = asyncio.get_running_loop().create_future()
        self.peak = max(self.peak, len(self.waiting))
        self._arrival.set()
        try:
            await self.waiting[request]
            self.served += 1
            return Response(request.url)
        finally:
            del self.waiting[request]

    def answer(self, count: int = 1) -> None:
        for reply in [r for r in self.waiting.values() if not r.done()][:count]:
            reply.set_result(None)

    def fail(self) -> None:
        for reply in [r for r in self.waiting.values() if not r.done()][:1]:
            reply.set_exception(OSError("reset"))


@contextlib.asynccontextmanager
async def downloader_of(
    concurrency: int, server: Server, **slot: Any
) -> AsyncIterator[LimitedDownloader]:
    crawler = get_crawler(
        settings_dict={
            "TWISTED_REACTOR_ENABLED": False,
            "DOWNLOAD_HANDLERS": dict.fromkeys(("http", "https", "ftp", "s3")),
            "DOWNLOADER_MIDDLEWARES_BASE": {},
            "DOWNLOAD_SLOTS": {SLOT: {"concurrency": concurrency, "delay": 0, **slot}},
        }
    )
    crawler.spider = crawler._create_spider("anyone")
    downloader = LimitedDownloader(crawler)
    downloader.handlers = server  # type: ignore[assignment]
    try:
        yield downloader
    finally:
        downloader.cancel_all()
        downloader.close()
        await turns(5)


def fetch(downloader: LimitedDownloader, count: int) -> list[asyncio.Task[Response]]:
    """Ask for images as the engine does, except that each has a task that can be cancelled."""
    requests = [
        Request(f"https://cdn.example/{number}", meta={"download_slot": SLOT})
        for number in range(count)
    ]
    download: Any = downloader.middleware.download_async
    tasks = [asyncio.create_task(download(downloader._enqueue_request, r)) for r in requests]
    for task in tasks:  # what the end of a test cancels, nobody looks at
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return tasks


async def turns(count: int = 6) -> None:
    """Let the event loop go round, so that everything that can happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


def test_no_more_than_the_limit_is_in_flight() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(8, server) as downloader:
            tasks = fetch(downloader, 200)
            while not all(task.done() for task in tasks):
                await turns()
                assert len(server.waiting) == downloader.in_flight(SLOT) == min(8, left(tasks))
                server.answer(3)
            assert server.peak == 8
            assert server.served == 200

    def left(tasks: list[asyncio.Task[Response]]) -> int:
        return sum(not task.done() for task in tasks)

    run(check())


def test_a_higher_limit_starts_queued_requests_at_once_and_a_lower_one_drains() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            fetch(downloader, 50)
            await turns()
            assert len(server.waiting) == 2
            downloader.set_concurrency(SLOT, 20)
            await turns()
            assert len(server.waiting) == 20
            downloader.set_concurrency(SLOT, 5)
            await turns()
            assert len(server.waiting) == 20
            server.answer(15)
            await turns()
            assert len(server.waiting) == 5
            server.answer(1)
            await turns()
            assert len(server.waiting) == 5

    run(check())


def test_a_limit_set_before_the_slot_exists_or_after_it_was_forgotten_holds() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            downloader.set_concurrency(SLOT, 4)
            tasks = fetch(downloader, 9)
            await turns()
            assert len(server.waiting) == 4
            while server.waiting:
                server.answer()
                await turns()
            assert all(task.done() for task in tasks)
            downloader._slot_gc(age=-1)
            assert not downloader.slots
            fetch(downloader, 9)
            await turns()
            assert len(server.waiting) == 4

    run(check())


def test_a_transfer_is_stamped_when_it_starts_not_when_it_is_queued() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(1, server) as downloader:
            fetch(downloader, 2)
            await turns()
            first = next(iter(server.waiting))
            await asyncio.sleep(0.05)
            server.answer()
            await turns()
            second = next(iter(server.waiting))
            assert second.meta[TRANSFER_STARTED] - first.meta[TRANSFER_STARTED] > 0.04

    run(check())


def test_cancelled_waiters_free_their_place() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(3, server) as downloader:
            tasks = fetch(downloader, 9)
            await turns()
            tasks[0].cancel()  # in flight
            tasks[4].cancel()  # queued
            server.answer(0)
            await turns()
            assert len(server.waiting) == 3
            while server.waiting:
                server.answer()
                await turns()
            assert server.served == 7
            assert downloader.in_flight(SLOT) == 0
            assert not downloader.slots[SLOT].queue
            assert not downloader.slots[SLOT].active

    run(check())


def test_a_waiter_cancelled_between_its_turn_and_its_start_leaks_no_place() -> None:
    # The window is hit on purpose: the turn is given and the task cancelled before it runs.
    async def check() -> None:
        server = Server()
        async with downloader_of(1, server) as downloader:
            tasks = fetch(downloader, 3)
            await turns()
            slot = downloader.slots[SLOT]
            downloader.set_concurrency(SLOT, 2)
            assert downloader.in_flight(SLOT) == 2
            assert len(server.waiting) == 1
            tasks[1].cancel()
            await turns()
            assert len(server.waiting) == downloader.in_flight(SLOT) == 2
            assert not slot.queue

    run(check())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["answer", "limit", "fetch", "cancel"]), st.integers(1, 12)),
            st.tuples(st.sampled_from(["fail", "turn"]), st.just(1)),
        ),
        max_size=60,
    )
)
def test_whatever_happens_the_count_is_the_truth(steps: list[tuple[str, int]]) -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(4, server) as downloader:
            tasks = fetch(downloader, 10)
            limit = 4
            for step, number in steps:
                before = downloader.in_flight(SLOT)
                if step == "answer":
                    server.answer(number)
                elif step == "fail":
                    server.fail()
                elif step == "limit":
                    limit = number
                    downloader.set_concurrency(SLOT, limit)
                elif step == "fetch":
                    tasks += fetch(downloader, number)
                elif step == "cancel":
                    tasks[number % len(tasks)].cancel()
                else:
                    await turns(1)
                assert len(server.waiting) <= downloader.in_flight(SLOT) <= max(limit, before)
            downloader.set_concurrency(SLOT, 3)
            while not all(task.done() for task in tasks):
                await turns()
                server.answer()
            await asyncio.gather(*tasks, return_exceptions=True)
            slot = downloader.slots[SLOT]
            assert not slot.transferring
            assert not slot.active
            assert not downloader._tasks

    run(check())


def test_a_pause_holds_the_queue_and_not_what_is_in_flight() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            tasks = fetch(downloader, 4)
            await turns()
            downloader.pause(SLOT, 0.2)
            downloader.pause(SLOT, 0.01)  # shorter: changes nothing
            server.answer(2)
            await turns()
            downloader.set_concurrency(SLOT, 4)
            await asyncio.sleep(0.05)
            assert tasks[0].done()
            assert not server.waiting
            assert 0 < downloader.paused_for(SLOT) <= 0.2
            await server.holds(1)
            assert downloader.paused_for(SLOT) == 0
            assert len(server.waiting) == 2

    run(check())


def test_a_pause_can_be_ended() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            downloader.pause(SLOT, 60)
            fetch(downloader, 3)
            await turns()
            assert not server.waiting
            downloader.resume(SLOT)
            await turns()
            assert len(server.waiting) == 2
            assert downloader.paused_for(SLOT) == 0
            downloader.resume(SLOT)
            downloader.resume("another")

    run(check())


def test_a_pause_outlives_a_slot_that_scrapy_forgets() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            downloader.pause(SLOT, 0.1)  # not made yet
            fetch(downloader, 1)
            await turns()
            assert not server.waiting
            await server.holds(1)
            server.answer()
            await turns()
            downloader.pause(SLOT, 0.1)
            downloader._slot_gc(age=-1)
            assert not downloader.slots
            fetch(downloader, 1)
            await turns()
            assert not server.waiting
            await server.holds(1)

    run(check())


def test_a_delay_keeps_transfers_apart() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(5, server, delay=0.1, jitter=0) as downloader:
            fetch(downloader, 4)
            for started in range(1, 5):
                await server.holds(started)
                await turns()
                assert len(server.waiting) == started

    run(check())


def test_a_stop_ends_everything_at_once_and_says_so() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(3, server) as downloader:
            tasks = fetch(downloader, 9)
            await turns()
            downloader.pause(SLOT, 60)
            downloader.cancel_all()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [RunStopped] * 9
            assert not server.waiting
            with pytest.raises(RunStopped, match="being stopped"):
                await fetch(downloader, 1)[0]
            assert downloader.in_flight(SLOT) == 0

    run(check())


def test_at_a_limit_what_is_in_transfer_goes_on_and_nothing_else_begins() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            tasks = fetch(downloader, 5)
            await server.holds(2)
            downloader.cancel_queued()
            await turns()
            assert [task.done() for task in tasks] == [False, False, True, True, True]
            server.answer(2)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            kinds = [type(result) for result in results]
            assert kinds == [Response] * 2 + [RunStopped] * 3
            with pytest.raises(RunStopped):
                await fetch(downloader, 1)[0]
            assert server.peak == 2

    run(check())


def test_only_images_have_a_brake() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(2, server) as downloader:
            downloader.brake = Brake(1000)
            tasks = fetch(downloader, 1)
            other = Request("https://api.example/", meta={"download_slot": "api"})
            tasks.append(asyncio.create_task(downloader._enqueue_request(other)))
            await server.holds(2)
            braked = {
                request.meta["download_slot"]: BRAKE in request.meta for request in server.waiting
            }
            assert braked == {"images": True, "api": False}
            server.answer(2)
            await asyncio.gather(*tasks)

    run(check())


def test_the_engine_s_waiters_get_the_exception_too() -> None:
    async def check() -> None:
        server = Server()
        async with downloader_of(1, server) as downloader:
            loop = asyncio.get_running_loop()
            futures = [
                downloader.fetch(
                    Request(f"https://cdn.example/{n}", meta={"download_slot": SLOT})
                ).asFuture(loop)
                for n in range(2)
            ]
            await turns()
            downloader.cancel_all()
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert [type(result) for result in results] == [RunStopped] * 2
            assert not downloader.active

    run(check())
