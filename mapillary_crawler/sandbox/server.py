"""The sandbox's server: Graph API, image CDN and archive.org on one port."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from . import cdn, damage, network
from .answer import LOGIN_PAGE, Answer, Request
from .archive_org import ArchiveOrg
from .cdn import Cdn, Claim
from .counters import Counters
from .faults import Faults
from .graph import TOKEN, Graph
from .weather import Chance, Delivery, Weather

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from .catalogue import Catalogue

_CONTROL = "/_sandbox/"
#: More loopback addresses, for URLs whose host differs per answer; absent on some systems.
_FURTHER_HOSTS = ("127.0.0.2", "127.0.0.3")


class Server:
    """Answers all requests and keeps the counters."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        faults: Mapping[str, Any] | None = None,
        token: str = TOKEN,
        items: Mapping[str, Any] | None = None,
        uploads: Path | None = None,
    ) -> None:
        """Begin with these faults; `items` are the items archive.org has, by identifier.

        The files of items are kept in the folder `uploads`, and only then to be downloaded.
        """
        self.catalogue = catalogue
        self._token = token
        self._items = items
        self._uploads = uploads
        self._first_faults = Faults().merged(faults or {})
        self.counters = Counters()
        self.reset()

    def reset(self) -> None:
        """Return to the state of the start: counters at zero, the first faults."""
        self.chance = Chance(self.catalogue.seed, self._first_faults)
        self.cdn = Cdn(self.catalogue)
        self.graph = Graph(self.catalogue, self.cdn, self.chance, self._token)
        self.archive = ArchiveOrg(self.chance, self._items, self._uploads)
        self.weather = {each: Weather(each, self.chance) for each in ("api", "cdn", "archive")}
        self.counters.reset()

    async def handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        request = await _read(incoming)
        if request.path.startswith(_CONTROL):
            return await network.send(incoming, self._control(request), Delivery.WHOLE)
        surface = self._surface(request)
        with self.counters.flight(surface):
            if request.method == "PUT":
                request = await self.archive.uploads.receive(request, incoming.content.iter_any())
                if request.upload is None:
                    return await network.send(incoming, Answer(), Delivery.RESET)
            claim = self.cdn.claim(request.target) if surface == "cdn" else None
            if claim and not self.catalogue.photographs.is_made(*claim.file):
                await asyncio.to_thread(self.catalogue.photographs.make, *claim.file)
            key, reply = self._reply(surface, request, claim)
            nth = self.counters.count(surface, request, key)
            in_flight = self.counters.in_flight[surface]
            disturbance = self.weather[surface].disturb(key, nth, in_flight)
            if disturbance.delay:
                await asyncio.sleep(disturbance.delay)
            since = len(self.archive.log.events)
            answer = self.weather[surface].dated(disturbance.instead or reply(nth))
            self.counters.answers[f"{surface} {answer.status}"] += 1
            self.archive.note(request, answer.status, disturbance.delivery, since)
            return await network.send(incoming, answer, disturbance.delivery)

    def _surface(self, request: Request) -> str:
        if request.path.startswith(cdn.PATH):
            return "cdn"
        return "archive" if self.archive.endpoint(request) else "api"

    def _reply(
        self, surface: str, request: Request, claim: Claim | None
    ) -> tuple[str, Callable[[int], Answer]]:
        """Return what a request is for, and what answers it the nth time."""
        if surface == "cdn":
            return claim.image.image_id if claim else "", partial(self._photograph, claim)
        if surface == "archive":
            return request.target, partial(self.archive.answer, request)
        if request.path == "/login/":
            page = Answer(200, LOGIN_PAGE, "text/html; charset=utf-8")
            return request.target, lambda _: page
        return request.target, partial(self.graph.answer, request)

    def _photograph(self, claim: Claim | None, nth: int) -> Answer:
        answer = self.cdn.answer(claim)
        if claim is None or answer.status != 200:
            return answer
        gone, name = self.chance.faults.cdn.gone_status, claim.image.image_id
        if gone != 200 and self.graph.gone(claim.image):
            return Answer.of_text("Not Found" if gone == 404 else "Gone", gone)
        if self.chance.strikes("cdn", "forbidden", name, nth):
            return Answer.of_text("Forbidden", 403)
        if self.chance.strikes("cdn", "not_found", name, nth):
            return Answer.of_text("Not Found", 404)
        return damage.spoil(answer, name, nth, self.chance)

    def _control(self, request: Request) -> Answer:
        """Answer the tests: counters, archive, reset, faults, items."""
        try:
            found = self._controlled(request.method, request.path.removeprefix(_CONTROL), request)
        except ValueError as error:
            return Answer.of_text(str(error), 400)
        if found is None:
            return Answer.of_text("counters, archive, reset, faults, items", 404)
        return Answer.of_json(found)

    def _controlled(self, method: str, what: str, request: Request) -> Any:
        """Do what a test asks for and return the answer; None if there is no such thing."""
        found: Any = None
        match method, what:
            case "GET", "counters":
                self.counters.faults = self.chance.dealt
                counts = self.counters.report(images="images" in request.query)
                found = {**counts, "uploads": self.archive.log.summary()}
            case "GET", "archive":
                found = self.archive.report()
            case "POST", "items":
                self.archive.change(json.loads(request.body))
                found = self.archive.report()["items"]
            case "POST", "reset":
                self.reset()
                found = {}
            case "POST", "faults":
                self.chance.faults = self.chance.faults.merged(json.loads(request.body))
                found = asdict(self.chance.faults)
            case "GET", "faults":
                found = asdict(self.chance.faults)
        return found


async def _read(incoming: web.BaseRequest) -> Request:
    target = incoming.raw_path
    parts = urlsplit(target)
    return Request(
        incoming.method,
        target,
        unquote(parts.path, errors="surrogatepass"),
        dict(parse_qsl(parts.query, keep_blank_values=True)),
        incoming.headers,
        await incoming.read() if incoming.can_read_body and incoming.method != "PUT" else b"",
        f"http://{incoming.host}",
    )


@asynccontextmanager
async def listening(server: Server, host: str, port: int) -> AsyncIterator[str]:
    """Listen while the context lasts and give the address; port 0 takes a free one."""
    runner = web.ServerRunner(
        web.Server(server.handle, access_log=None, handler_cancellation=True),
        handle_signals=False,
        shutdown_timeout=0.1,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        port = runner.addresses[0][1]
        if host == "127.0.0.1":
            for further in _FURTHER_HOSTS:
                with suppress(OSError):
                    await web.TCPSite(runner, further, port).start()
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
