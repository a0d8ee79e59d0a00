"""The public API names image URLs on this machine: each fails, and nothing is asked for there."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling
from tests.whole.test_certificates import _self_signed

pytestmark = pytest.mark.slow

_DIRECT = build_opener(ProxyHandler({}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    target = ""


class _Api(BaseHTTPRequestHandler):
    """Stands for graph.mapillary.com: hands on what it is asked to a sandbox."""

    server: _Server

    def do_GET(self) -> None:
        headers = {"Authorization": self.headers["Authorization"]}
        try:
            answer = _DIRECT.open(Request(self.server.target + self.path, headers=headers))
        except HTTPError as error:
            answer = error  # type: ignore[assignment]
        with answer:
            body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Proxy(_Api):
    """Connects everybody to the server that stands for the API."""

    def do_CONNECT(self) -> None:
        host, _, port = self.server.target.partition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pass_on, args=(there, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, there)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def _running(handler: type[_Api], target: str, certificate: Path | None = None) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        server.target = target
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake in the handler's thread: who says nothing holds up nobody else.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_images_of_the_public_api_on_this_machine(tmp_path: Path) -> None:
    users = [{"username": "carol", "images": 12, "days": 1.0}]
    with Sandbox.running(users) as sandbox, ExitStack() as stack:
        certificate = _self_signed(tmp_path / "server.pem")
        api = stack.enter_context(_running(_Api, sandbox.url, certificate))
        proxy = stack.enter_context(_running(_Proxy, api))
        crawling = Crawling(tmp_path / "store", sandbox)
        del crawling.environment["MAPILLARY_API_URL"]
        crawling.environment["https_proxy"] = f"http://{proxy}"
        options = ("-s", "DOWNLOAD_VERIFY_CERTIFICATES=0", "-s", "IMAGE_ATTEMPTS=2")
        result = crawling.run(*options, username="carol", quality="256")
        counted = sandbox.counters()["requests"]
    assert result.code == 3, result.output
    assert result.balance["failed"] == 12
    assert not counted.get("cdn")
    folder = crawling.store / ".incomplete" / "mapillary-carol-256"
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    try:
        errors = {error for _, error, _ in ledger.images.failures()}
    finally:
        ledger.close()
    assert errors == {"UrlRefused: the URL leads to an address that is not public"}
