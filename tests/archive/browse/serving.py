"""The viewer's real server, in a thread of its own, and what asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mapillary_crawler.archive.browse.handlers import Viewer
from mapillary_crawler.archive.browse.pictures import Pictures
from mapillary_crawler.archive.browse.saving import Saving
from mapillary_crawler.archive.browse.server import serving
from mapillary_crawler.archive.browse.shelf import Shelf
from mapillary_crawler.archive.browse.static import Static
from mapillary_crawler.archive.internet_archive.ranges import Ranges
from mapillary_crawler.image.jxl_codec import Decoder

PAGE = b"<!doctype html><title>The viewer</title>"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Browser:
    """Asks as a browser does that has opened the address; headers may be anything."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.port = int(address.split(":")[2].split("/", maxsplit=1)[0])
        self.token = address.partition("token=")[2]
        self.cookie = ""
        self.cookie = self.ask(f"/?token={self.token}").headers["Set-Cookie"]
        self.own = {"Cookie": self.cookie.partition(";")[0]}

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a request with the cookie, or with these headers."""
        given = {"Host": f"127.0.0.1:{self.port}", **(self.own if self.cookie else {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (given | (headers or {})).items():
                connection.putheader(name, value)
            packed = body if isinstance(body, bytes) else json.dumps(body).encode()
            if body is not None:
                connection.putheader("Content-Length", str(len(packed)))
            connection.endheaders(packed if body is not None else None)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def act(self, **action: Any) -> Answer:
        """Return the answer to the one POST."""
        token = self.ask("/api/session").json["token"]
        return self.ask("/api/action", "POST", action, {"X-Token": token})


@contextmanager
def browsing(
    folders: Sequence[Path], place: Path, *, to: Path | None = None, archive: str = ""
) -> Iterator[Browser]:
    """Serve collections until the context ends; `place` is for what the server needs."""
    static = place / "static"
    static.mkdir(parents=True, exist_ok=True)
    (static / "viewer.html").write_bytes(PAGE)
    started: list[Any] = []
    ready = threading.Event()

    def ranges() -> Ranges:
        return Ranges(archive, wait=0.01, patience=0.0, timeout=5, say=lambda _: None)

    async def serve(viewer: Viewer, listening: socket.socket) -> None:
        async with serving(viewer, listening) as address:
            end = asyncio.Event()
            started.extend([address, asyncio.get_running_loop(), end])
            ready.set()
            await end.wait()

    shelf = Shelf(folders, place / "cache")
    with socket.create_server(("127.0.0.1", 0)) as listening, Decoder() as decoder:
        viewer = Viewer(
            shelf, Pictures(decoder, ranges), Static(static, ()), Saving(to, ranges) if to else None
        )
        thread = threading.Thread(target=lambda: asyncio.run(serve(viewer, listening)))
        thread.start()
        try:
            assert ready.wait(30)
            yield Browser(started[0])
        finally:
            started[1].call_soon_threadsafe(started[2].set)
            thread.join()
            shelf.close()
