"""One question: answers as they are, and each way in which none comes."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mapillary_crawler.crawl.doctor import asking
from mapillary_crawler.crawl.doctor.asking import NoReply, Reply, Silence, ask

_Work = Callable[[BaseHTTPRequestHandler], object]


class Server(ThreadingHTTPServer):
    """Does with a request what a test wants."""

    daemon_threads = True
    work: _Work

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[str] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/x"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that leave."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.server.work(self)

    do_CONNECT = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.ended.set()
        running.shutdown()
        thread.join()


def answering(status: int, body: bytes = b"{}", **headers: str) -> _Work:
    def work(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return work


def asked(server: Server, work: _Work, timeout: float = 20) -> Reply | NoReply:
    server.work = work
    return ask(server.url, {"X-Test": "1"}, timeout)


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_every_status_is_an_answer(server: Server, status: int) -> None:
    reply = asked(server, answering(status, b"body"))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.ahead) == (status, b"body", None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Server, status: int) -> None:
    reply = asked(server, answering(status, Location="/elsewhere"))
    assert isinstance(reply, Reply)
    assert reply.status == status
    assert server.seen == ["/x"]


@pytest.mark.parametrize("ahead", [-86_400, -3600, 0, 90, 3600])
def test_the_clock_is_compared(server: Server, ahead: int) -> None:
    date = formatdate(time.time() - ahead, usegmt=True)
    reply = asked(server, answering(200, Date=date))
    assert isinstance(reply, Reply)
    assert reply.ahead is not None
    assert abs(reply.ahead - ahead) <= 10
    assert ahead or reply.ahead == 0


@pytest.mark.parametrize("date", ["yesterday", "Mon, 99 Jan 2024 00:00:00 GMT", ""])
def test_a_date_that_is_none_says_nothing(server: Server, date: str) -> None:
    reply = asked(server, answering(200, Date=date))
    assert isinstance(reply, Reply)
    assert reply.ahead is None


def test_a_slow_answer_leaves_the_clock_in_doubt() -> None:
    then = formatdate(1_700_000_000, usegmt=True)
    assert asking._ahead(then, 1_699_999_990, 20) == 0
    assert asking._ahead(then, 1_700_000_000.5, 0.1) == 0
    assert asking._ahead(then, 1_700_000_101, 0) == 100.5
    assert asking._ahead(then, 1_699_999_900, 10) == -95.5


def test_an_endless_answer_is_cut(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 1000)
    reply = asked(server, answering(200, bytes(10_000_000)))
    assert isinstance(reply, Reply)
    assert 1000 < len(reply.body) <= 1000 + asking._CHUNK


def _stalled(handler: BaseHTTPRequestHandler) -> None:
    assert isinstance(handler.server, Server)
    handler.server.ended.wait()


def _trickling(handler: BaseHTTPRequestHandler) -> None:
    assert isinstance(handler.server, Server)
    handler.send_response_only(200)
    handler.end_headers()
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"x")


@pytest.mark.parametrize("work", [_stalled, _trickling])
def test_no_answer_in_time(server: Server, work: _Work) -> None:
    reply = asked(server, work, timeout=0.3)
    assert isinstance(reply, NoReply)
    assert reply.why is Silence.TIMEOUT


def test_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    reply = ask(f"http://127.0.0.1:{port}/", {}, 20)
    assert reply == NoReply(Silence.NO_CONNECTION, "Connection refused")


def test_a_connection_that_is_closed(server: Server) -> None:
    reply = asked(server, lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    assert isinstance(reply, NoReply)
    assert reply.why is Silence.NO_CONNECTION


def test_what_is_no_http(server: Server) -> None:
    reply = asked(server, lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"))
    assert reply == NoReply(Silence.NO_CONNECTION, http.client.BadStatusLine.__name__)


def test_a_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_proxies(monkeypatch)
    reply = ask("https://api.example.invalid/", {}, 20)
    assert isinstance(reply, NoReply)
    assert reply.why is Silence.NO_NAME


def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_that_refuses_sees_no_header(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers: list[str] = []

    def refuse(handler: BaseHTTPRequestHandler) -> None:
        headers.append(str(handler.headers))
        answering(407)(handler)

    _without_proxies(monkeypatch)
    server.work = refuse
    monkeypatch.setenv("https_proxy", f"http://user:PASSWORD@127.0.0.1:{server.server_port}")
    reply = ask("https://api.example.invalid/", {"Authorization": "OAuth MLY|1|2"}, 20)
    assert reply == NoReply(Silence.PROXY, "HTTP 407")
    assert server.seen == ["api.example.invalid:443"]
    assert "OAuth" not in headers[0]


def test_a_proxy_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_proxies(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    reply = ask("https://api.example.invalid/", {}, 20)
    assert reply == NoReply(Silence.PROXY, "Connection refused")


def test_loopback_has_no_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert isinstance(asked(server, answering(200)), Reply)
