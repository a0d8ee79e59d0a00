"""The viewer's server: who may ask is in `guards.py`, what is answered in `answers.py`.

GET and HEAD:
    /                               the page; with ?token= it sets the cookie
    /static/NAME                    what the page is made of
    /api/session                    {"token": …}, for the header of the one POST
    /api/collections                the list
    /api/c/NAME                     a collection; makes its index where there is none
    /api/c/NAME/tracks, images      what a map shows: ?bbox=&zoom=&FILTER
    /api/c/NAME/days, list          what a list shows: ?FILTER&bbox=&offset=&limit=
    /api/c/NAME/image/NUMBER        an image's fields
    /image/c/NAME/NUMBER            the image, as browsers take it; ?width= reduced, at most 512
    /image/c/NAME/NUMBER/file       as it is stored, to be kept
    /zip/c/NAME                     several as a zip: ?FILTER&bbox= or ?number= (several)
POST /api/action with the header X-Token, JSON:
    {"action": "remote", "collection": NAME, "agree": true}     ask archive.org for what was removed
    {"action": "save", "collection": NAME, "selection": {FILTER, bbox} or {"numbers": […]}}
Errors are {"error": text} with 4xx or 5xx. What is done for an answer is done in threads.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import web

from mapillary_crawler.archive.browse import answers, asked, guards
from mapillary_crawler.archive.browse.asked import BadQuestion
from mapillary_crawler.archive.browse.pictures import Pictures, Removed, type_of
from mapillary_crawler.archive.browse.saving import Saving
from mapillary_crawler.archive.browse.shelf import Shelf, Shelved
from mapillary_crawler.archive.browse.static import Static
from mapillary_crawler.archive.browse.zipped import zipped
from mapillary_crawler.archive.extract.sources import Unreadable
from mapillary_crawler.collection.outcome import ProjectError, RunStopped
from mapillary_crawler.ledger.viewer_records import ShownImage
from mapillary_crawler.terminal.quoting import printable

#: Pixels of a side of a reduced image, and bytes of a POST: 100,000 numbers.
_SIDE, _POST_BYTES = 512, 2 << 20
_THREADS = 8
_MAPS = {
    "tracks": answers.tracks,
    "images": answers.images,
    "days": answers.days,
    "list": answers.listed,
}


@dataclass
class Viewer:
    """What the server works with; `agreed` are collections of which archive.org may be asked."""

    shelf: Shelf
    pictures: Pictures
    static: Static
    saving: Saving | None = None
    token: str = field(default_factory=guards.new_token)
    port: int = 0
    agreed: set[str] = field(default_factory=set)


class _Answers:
    """The handlers; each raises what `_told` makes an answer of."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._threads = ThreadPoolExecutor(_THREADS, "viewer")

    def application(self) -> web.Application:
        """Return the application that aiohttp serves."""
        application = web.Application(middlewares=[self._guard], client_max_size=_POST_BYTES)
        application.on_response_prepare.append(_add_headers)
        of_one = "/api/c/{collection}"
        image = "/image/c/{collection}/{number:[0-9]{1,16}}"
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/static/{name:.+}", self._static),
                web.get("/api/session", self._session),
                web.get("/api/collections", self._collections),
                web.get(of_one, self._collection),
                web.get(f"{of_one}/{{what:{'|'.join(_MAPS)}}}", self._map),
                web.get(f"{of_one}/image/{{number:[0-9]{{1,16}}}}", self._fields),
                web.get(image, self._image),
                web.get(f"{image}/file", self._file),
                web.get("/zip/c/{collection}", self._zip),
                web.post(guards.ACTION, self._action),
            ]
        )
        return application

    def close(self) -> None:
        """Wait for nobody any longer."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _do(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        viewer = self._viewer
        refusal = guards.refusal(
            request.method,
            request.path,
            request.headers,
            token=viewer.token,
            in_address=request.query.get("token"),
            in_cookie=request.cookies.get(guards.cookie(viewer.port)),
        )
        if refusal:
            return _error(refusal.status, refusal.words)
        try:
            answer: web.StreamResponse = await handler(request)
        except web.HTTPException as error:
            return _error(error.status, error.reason)
        except ConnectionError:  # who asked is gone
            raise
        except Exception as error:
            found = _told(error)
            if found is None:
                raise
            return found
        return answer

    async def _page(self, request: web.Request) -> web.Response:
        viewer = self._viewer
        if guards.is_token(request.query.get("token"), viewer.token):
            answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
            answer.set_cookie(
                guards.cookie(viewer.port), viewer.token, httponly=True, samesite="Strict"
            )
            return answer
        return self._asset("viewer.html", request)

    async def _static(self, request: web.Request) -> web.Response:
        return self._asset(request.match_info["name"], request)

    def _asset(self, name: str, request: web.Request) -> web.Response:
        asset = self._viewer.static.find(name)
        if asset is None:
            raise web.HTTPNotFound
        headers = {"ETag": asset.tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == asset.tag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        headers["Content-Type"] = asset.type
        return web.Response(body=asset.body, headers=headers)

    async def _session(self, _: web.Request) -> web.Response:
        return _json({"token": self._viewer.token})

    async def _collections(self, _: web.Request) -> web.Response:
        def work() -> web.Response:
            saving = self._viewer.saving
            found = [each.overview() for each in self._viewer.shelf]
            return _json(
                {"collections": found, "to": printable(str(saving.folder)) if saving else None}
            )

        answer: web.Response = await self._do(work)
        return answer

    def _shelved(self, request: web.Request) -> Shelved:
        found = self._viewer.shelf.find(request.match_info["collection"])
        if found is None:
            raise web.HTTPNotFound
        return found

    async def _collection(self, request: web.Request) -> web.Response:
        return await self._told_of(partial(answers.collection, self._shelved(request)))

    async def _map(self, request: web.Request) -> web.Response:
        work = _MAPS[request.match_info["what"]]
        return await self._told_of(partial(work, self._shelved(request), request.query))

    async def _fields(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        return await self._told_of(partial(answers.image, self._shelved(request), number))

    async def _told_of(self, work: Callable[[], dict[str, Any] | None]) -> web.Response:
        def told() -> web.Response:
            found = work()
            if found is None:
                raise web.HTTPNotFound
            return _json(found)

        answer: web.Response = await self._do(told)
        return answer

    async def _image(self, request: web.Request) -> web.Response:
        side = min(asked.whole(request.query, "width", 1 << 20, 0), _SIDE)
        pictures = self._viewer.pictures

        def make(body: bytes) -> tuple[str, bytes]:
            return pictures.reduced(body, side) if side else pictures.shown(body)

        return await self._bytes(request, f"-{side}", make)

    async def _file(self, request: web.Request) -> web.Response:
        answer = await self._bytes(request, "-file", lambda body: (type_of(body), body))
        name = (await self._do(partial(self._find, request))).record.member.rpartition("/")[2]
        answer.headers["Content-Disposition"] = _attachment(name)
        return answer

    def _find(self, request: web.Request) -> ShownImage:
        image = self._shelved(request).index().image(int(request.match_info["number"]))
        if image is None:
            raise web.HTTPNotFound
        return image

    async def _bytes(
        self, request: web.Request, kind: str, make: Callable[[bytes], tuple[str, bytes]]
    ) -> web.Response:
        shelved = self._shelved(request)

        def work() -> web.Response:
            image = self._find(request)
            tag = f'"{(image.record.sha256_stored or b"").hex()[:32]}{kind}"'
            headers = {"ETag": tag, "Cache-Control": "private, max-age=600"}
            if request.headers.get("If-None-Match") == tag:
                return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
            headers["Content-Type"], body = make(self._read(shelved, image))
            return web.Response(body=body, headers=headers)

        answer: web.Response = await self._do(work)
        return answer

    def _read(self, shelved: Shelved, image: ShownImage) -> bytes:
        remote = shelved.name in self._viewer.agreed
        return self._viewer.pictures.stored(shelved.folder, image, remote=remote)

    async def _zip(self, request: web.Request) -> web.StreamResponse:
        shelved = self._shelved(request)
        numbers = [_number(text) for text in request.query.getall("number", [])] or None
        wanted = asked.wanted(request.query)

        def begin() -> Generator[bytes]:
            index = shelved.index()
            images = index.selected(numbers or index.numbers(wanted))
            return zipped(images, partial(self._read, shelved))

        chunks = await self._do(begin)
        answer = web.StreamResponse(
            headers={
                "Content-Type": "application/zip",
                "Content-Disposition": _attachment(f"{shelved.name}.zip"),
            }
        )
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        async with self._pulled(chunks) as pulled:
            async for chunk in pulled:
                await answer.write(chunk)
        await answer.write_eof()
        return answer

    @asynccontextmanager
    async def _pulled(self, chunks: Generator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give what is made in a thread, a piece at a time, each when it is asked for."""
        making: asyncio.Future[Any] | None = None

        async def pull() -> AsyncIterator[bytes]:
            nonlocal making
            loop = asyncio.get_running_loop()
            while True:
                making = loop.run_in_executor(self._threads, partial(next, chunks, None))
                chunk = await asyncio.shield(making)
                if chunk is None:
                    return
                yield chunk

        try:
            yield pull()
        finally:
            if making is not None and not making.done():
                await asyncio.wait([making])
            chunks.close()

    async def _action(self, request: web.Request) -> web.Response:
        try:
            given = await request.json()
        except (ValueError, RecursionError):
            raise BadQuestion("it is no JSON") from None
        if not isinstance(given, dict):
            raise BadQuestion("it is no object")
        shelved = self._viewer.shelf.find(str(given.get("collection")))
        if shelved is None:
            raise web.HTTPNotFound
        match given.get("action"):
            case "remote":
                agreed = self._viewer.agreed
                (agreed.add if given.get("agree") is True else agreed.discard)(shelved.name)
                return _json({"agreed": shelved.name in agreed})
            case "save":
                return await self._save(shelved, given.get("selection"))
        raise BadQuestion("action is remote or save")

    async def _save(self, shelved: Shelved, selection: Any) -> web.Response:
        viewer = self._viewer
        if viewer.saving is None:
            return _error(HTTPStatus.CONFLICT, "no folder to save into was given: --to FOLDER")
        if not isinstance(selection, dict):
            raise BadQuestion("selection is no object")
        numbers, wanted = answers.selection(selection)
        saving = viewer.saving

        def work() -> web.Response:
            chosen = shelved.index().numbers(wanted) if numbers is None else numbers
            ranges = viewer.pictures.ranges() if shelved.name in viewer.agreed else None
            return _json(saving.save(shelved, chosen, ranges))

        answer: web.Response = await self._do(work)
        return answer


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 16:
        raise BadQuestion("number is that of an image")
    return int(text)


def _attachment(name: str) -> str:
    """Return the header by which a browser keeps a file under a name (RFC 6266)."""
    plain = "".join(each if each.isascii() and each.isprintable() else "_" for each in name)
    plain = plain.replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _json(found: dict[str, Any]) -> web.Response:
    body = json.dumps(found, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
    return web.Response(body=body, headers=headers)


def _error(status: int, words: str, **more: str) -> web.Response:
    answer = _json({"error": words, **more})
    answer.set_status(status)
    return answer


def _told(error: Exception) -> web.Response | None:
    """Return the answer that says what went wrong, None for an error of the program's own."""
    match error:
        case BadQuestion():
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        case Removed():
            return _error(HTTPStatus.CONFLICT, "removed", item=error.item)
        case Unreadable():
            return _error(HTTPStatus.NOT_FOUND, printable(str(error)))
        case RunStopped():
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the viewer ends")
        case ProjectError() | OSError() | sqlite3.Error():
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, printable(str(error)))
    return None


async def _add_headers(_: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(guards.HEADERS)


@asynccontextmanager
async def serving(viewer: Viewer, sockets: Any) -> AsyncIterator[str]:
    """Serve on a socket that listens while the context lasts; give the address to open."""
    viewer.port = sockets.getsockname()[1]
    handlers = _Answers(viewer)
    runner = web.AppRunner(
        handlers.application(),
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, sockets).start()
        yield f"http://127.0.0.1:{viewer.port}/?token={viewer.token}"
    finally:
        viewer.shelf.stop()
        viewer.pictures.close()
        if viewer.saving:
            viewer.saving.stop()
        await runner.cleanup()
        await asyncio.to_thread(handlers.close)
