"""archive.org in miniature: files by range, answers, and what can go wrong with them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Downloads:
    """Files by item and name, as `{item}/{name}`; every request's path and range, in order.

    `statuses` are the answers to the next requests, instead of what was asked for; `cut` how many
    bytes of a body are left out; `whole` says that ranges are not known.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    #: Of the metadata API, by item.
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    whole: bool = False
    redirected: bool = False
    url: str = ""

    def answer(self, path: str, wanted: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the answer to a range, or about an item."""
        if path.startswith("/metadata/"):
            return 200, self.answers.get(path.removeprefix("/metadata/"), b"{}"), {}
        body = self.files.get(re.sub("^/(download|1/items)/", "", path))
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        if body is None or span is None:
            return 404, b"", {}
        if self.whole:
            return 200, body, {}
        if (first := int(span[1])) >= len(body):
            return 416, b"", {}
        part = body[first : int(span[2]) + 1]
        last = first + len(part) - 1
        return 206, part, {"Content-Range": f"bytes {first}-{last}/{len(body)}"}


@contextmanager
def downloads() -> Iterator[Downloads]:
    """Serve on loopback, on a free port, until the context ends."""
    served = Downloads()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("Range")))
            if served.statuses:
                self._send(served.statuses.pop(0), b"<html>no</html>", served.headers)
                return
            path = unquote(self.path)
            if served.redirected and path.startswith("/download/"):
                self._send(302, b"", {"Location": self.path.replace("/download/", "/1/items/")})
                return
            self._send(*served.answer(path, self.headers.get("Range", "")))

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) - served.cut])
            self.close_connection = bool(served.cut)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
