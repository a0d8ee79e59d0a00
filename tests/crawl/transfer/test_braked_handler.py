"""Bodies that are read no faster than a rate, together, without hurry of their time-outs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from scrapy import Request
from scrapy.exceptions import DownloadTimeoutError
from scrapy.utils.test import get_crawler

from mapillary_crawler.crawl.transfer.brake import Brake
from mapillary_crawler.crawl.transfer.braked_handler import BrakedHandler
from mapillary_crawler.crawl.transfer.downloader import BRAKE, TRANSFER_BRAKED

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Handler(BrakedHandler):
    """The handler without its warning that it is experimental."""

    experimental = False


async def with_server(serve: Serve, work: Callable[[BrakedHandler, str], Awaitable[Any]]) -> Any:
    handler = _Handler(get_crawler(settings_dict={"TWISTED_REACTOR_ENABLED": False}))
    served: set[asyncio.Task[None]] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(serve_one, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            return await work(handler, f"http://127.0.0.1:{port}/")
        finally:
            await handler.close()
            await asyncio.gather(*served, return_exceptions=True)


def body_of(size: int, *, stalls: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + bytes(size // 2 if stalls else size))
        await writer.drain()
        if stalls:
            await reader.read()

    return serve


def asked(url: str, brake: Brake, timeout: float = 30) -> Request:
    return Request(url, meta={"download_slot": "images", "download_timeout": timeout, BRAKE: brake})


def test_all_bodies_together_keep_to_the_rate() -> None:
    """The loop's clock is the brake's; the ratio to the limit is what counts."""
    size, count, rate = 150_000, 8, 600_000

    async def fetch(handler: BrakedHandler, url: str) -> float:
        loop, brake = asyncio.get_running_loop(), Brake(rate)
        began = loop.time()
        requests = [asked(url, brake) for _ in range(count)]
        responses = await asyncio.gather(*map(handler.download_request, requests))
        assert [len(response.body) for response in responses] == [size] * count
        assert brake.waiting == 0
        return count * size / (loop.time() - began)

    assert asyncio.run(with_server(body_of(size), fetch)) == pytest.approx(rate, rel=0.15)


def test_the_wait_is_not_the_transfer_s_own() -> None:
    """Half a second is enough for what comes at once, however long the brake then holds it."""

    async def fetch(handler: BrakedHandler, url: str) -> None:
        request = asked(url, Brake(100_000), timeout=0.5)
        response = await handler.download_request(request)
        assert len(response.body) == 100_000
        assert request.meta[TRANSFER_BRAKED] == pytest.approx(1, rel=0.05)

    asyncio.run(with_server(body_of(100_000), fetch))


def test_what_does_not_come_is_given_up_all_the_same() -> None:
    async def fetch(handler: BrakedHandler, url: str) -> None:
        with pytest.raises(DownloadTimeoutError, match=r"took longer than 0\.2 seconds"):
            await handler.download_request(asked(url, Brake(10**9), timeout=0.2))

    asyncio.run(with_server(body_of(1000, stalls=True), fetch))


def test_a_stop_does_not_wait_for_the_brake() -> None:
    async def fetch(handler: BrakedHandler, url: str) -> None:
        brake = Brake(1)
        task = asyncio.create_task(handler.download_request(asked(url, brake)))
        while not brake.waiting:  # noqa: ASYNC110  it has no event to wait for
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert brake.waiting == 0

    asyncio.run(with_server(body_of(100_000), fetch))


@pytest.mark.parametrize(("rate", "expected", "begun"), [(1, 10**6, 2), (10**6, 200_000, 50)])
def test_so_many_are_begun_at_once(rate: int, expected: int, begun: int) -> None:
    assert Brake(rate).at_once(expected) == begun


def test_a_pause_is_made_up_for_by_a_second_at_most() -> None:
    brake = Brake(100)
    assert brake.took(1000.0, 50) == 0.5
    assert brake.took(1000.0, 50) == 1.0
    assert brake.took(2000.0, 50) == 0
    assert brake.took(2000.0, 150) == 1.0
