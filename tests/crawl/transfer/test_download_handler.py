"""Where an image's URL may lead, judged by the address that is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from scrapy import Request
from scrapy.exceptions import DownloadConnectionRefusedError
from scrapy.utils.test import get_crawler

from mapillary_crawler.crawl.failures import UrlRefused
from mapillary_crawler.crawl.transfer.download_handler import DownloadHandler

PUBLIC_API = "https://graph.mapillary.com"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Served:
    """What came of a request, and how many connections the server on loopback had."""

    connections = 0
    error: Exception | None = None
    body = b""


def fetch(url: str, *, api: str = PUBLIC_API, slot: str = "images", **meta: Any) -> Served:
    """Download `url`, in which {} is the port of a server on loopback."""
    found = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async def run() -> None:
        settings = {"TWISTED_REACTOR_ENABLED": False, "MAPILLARY_API_URL": api}
        handler = DownloadHandler(get_crawler(settings_dict=settings))
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            named = {key: value.format(port) for key, value in meta.items()}
            request = Request(url.format(port), meta={"download_slot": slot, **named})
            try:
                found.body = (await handler.download_request(request)).body
            except (UrlRefused, DownloadConnectionRefusedError) as error:
                found.error = error
            finally:
                await handler.close()

    asyncio.run(run())
    return found


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name have these addresses."""

    def to(*addresses: str) -> None:
        async def getaddrinfo(self: Any, host: Any, port: Any, **_: Any) -> list[Any]:
            kinds = {True: socket.AF_INET6, False: socket.AF_INET}
            return [
                (
                    kinds[":" in each],
                    socket.SOCK_STREAM,
                    6,
                    "",
                    (each, port, 0, 0)[: 2 + 2 * (":" in each)],
                )
                for each in addresses
            ]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    return to


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}/x.jpg",
        "http://localhost:{}/x.jpg",
        "http://[::ffff:127.0.0.1]:{}/x.jpg",
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x.jpg",
        "https://[fd00::1]/x.jpg",
        "https://user:password@scontent.xx.fbcdn.net/x.jpg",
        "https://user@scontent.xx.fbcdn.net/x.jpg",
    ],
)
@pytest.mark.parametrize("slot", ["images", "probe", "sample"])
def test_urls_that_lead_elsewhere_are_refused(url: str, slot: str) -> None:
    found = fetch(url, slot=slot)
    assert isinstance(found.error, UrlRefused)
    assert found.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.1.1", "fe80::1", "fd00::1"])
def test_a_name_is_judged_by_its_address(resolve: Callable[..., None], address: str) -> None:
    resolve(address)
    found = fetch("http://scontent.xx.fbcdn.net:{}/x.jpg")
    assert isinstance(found.error, UrlRefused)
    assert found.connections == 0


def test_a_name_with_closed_addresses_alone_is_refused(resolve: Callable[..., None]) -> None:
    resolve("127.0.0.1", "10.0.0.1", "::1")
    found = fetch("http://scontent.xx.fbcdn.net:{}/x.jpg")
    assert isinstance(found.error, UrlRefused)
    assert found.connections == 0


@pytest.mark.parametrize(
    ("api", "slot"),
    [
        ("http://127.0.0.1:8000", "images"),
        ("https://trusted.example.org", "images"),
        (PUBLIC_API, "api"),
        (PUBLIC_API, "archive.org"),
    ],
)
def test_what_else_is_asked_for_may_lead_anywhere(api: str, slot: str) -> None:
    assert fetch("http://127.0.0.1:{}/x.jpg", api=api, slot=slot).body == b"ok"


def test_a_proxy_may_be_on_this_machine() -> None:
    found = fetch("http://scontent.xx.fbcdn.net/x.jpg", proxy="http://127.0.0.1:{}")
    assert found.body == b"ok"
    assert isinstance(fetch("http://10.0.0.1/x.jpg", proxy="http://127.0.0.1:{}").error, UrlRefused)
