"""What is done at each address of the viewer; what takes time is done in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from mapillary_crawler.archive.browse import answers, asked, guards
from mapillary_crawler.archive.browse.asked import BadQuestion
from mapillary_crawler.archive.browse.pictures import Pictures, type_of
from mapillary_crawler.archive.browse.replies import as_json, attachment, refused
from mapillary_crawler.archive.browse.saving import Saving
from mapillary_crawler.archive.browse.shelf import Shelf, Shelved
from mapillary_crawler.archive.browse.static import Static
from mapillary_crawler.archive.browse.zipped import zipped
from mapillary_crawler.ledger.viewer_records import ShownImage
from mapillary_crawler.terminal.quoting import printable

#: Pixels of a side of a reduced image.
_SIDE = 512
_THREADS = 8
#: What maps and lists ask for, by its name in the address.
MAPS = {
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


class Handlers:
    """A method for each address; each raises what `replies.told` makes an answer of."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._threads = ThreadPoolExecutor(_THREADS, "viewer")

    def close(self) -> None:
        """Wait for nobody any longer."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _do(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def page(self, request: web.Request) -> web.Response:
        """Answer `/`: the page, or the way to it with the cookie."""
        viewer = self._viewer
        if guards.is_token(request.query.get("token"), viewer.token):
            answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
            answer.set_cookie(
                guards.cookie(viewer.port), viewer.token, httponly=True, samesite="Strict"
            )
            return answer
        return self._asset("viewer.html", request)

    async def static(self, request: web.Request) -> web.Response:
        """Answer a file of the page."""
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

    async def session(self, _: web.Request) -> web.Response:
        """Answer with the token, for the header of the POST."""
        return as_json({"token": self._viewer.token})

    async def collections(self, _: web.Request) -> web.Response:
        """Answer with the list."""

        def work() -> web.Response:
            saving = self._viewer.saving
            found = [each.overview() for each in self._viewer.shelf]
            return as_json(
                {"collections": found, "to": printable(str(saving.folder)) if saving else None}
            )

        answer: web.Response = await self._do(work)
        return answer

    def _shelved(self, request: web.Request) -> Shelved:
        found = self._viewer.shelf.find(request.match_info["collection"])
        if found is None:
            raise web.HTTPNotFound
        return found

    async def collection(self, request: web.Request) -> web.Response:
        """Answer with a collection as a whole."""
        return await self._told_of(partial(answers.collection, self._shelved(request)))

    async def map(self, request: web.Request) -> web.Response:
        """Answer with what a map or a list shows."""
        work = MAPS[request.match_info["what"]]
        return await self._told_of(partial(work, self._shelved(request), request.query))

    async def fields(self, request: web.Request) -> web.Response:
        """Answer with an image's fields."""
        number = int(request.match_info["number"])
        return await self._told_of(partial(answers.image, self._shelved(request), number))

    async def _told_of(self, ask: Callable[[], dict[str, Any] | None]) -> web.Response:
        def work() -> web.Response:
            found = ask()
            if found is None:
                raise web.HTTPNotFound
            return as_json(found)

        answer: web.Response = await self._do(work)
        return answer

    async def image(self, request: web.Request) -> web.Response:
        """Answer with an image, as browsers take it."""
        side = min(asked.whole(request.query, "width", 1 << 20, 0), _SIDE)
        pictures = self._viewer.pictures

        def make(body: bytes) -> tuple[str, bytes]:
            return pictures.reduced(body, side) if side else pictures.shown(body)

        return await self._bytes(request, f"-{side}", make)

    async def file(self, request: web.Request) -> web.Response:
        """Answer with an image as it is stored."""
        answer = await self._bytes(request, "-file", lambda body: (type_of(body), body))
        name = (await self._do(partial(self._find, request))).record.member.rpartition("/")[2]
        answer.headers["Content-Disposition"] = attachment(name)
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

    async def zip(self, request: web.Request) -> web.StreamResponse:
        """Answer with several images as a zip."""
        shelved = self._shelved(request)
        numbers = asked.named(request.query.getall("number", []))
        wanted = asked.wanted(request.query)

        def begin() -> Generator[bytes]:
            index = shelved.index()
            images = index.selected(numbers or index.numbers(wanted))
            return zipped(images, partial(self._read, shelved))

        chunks = await self._do(begin)
        answer = web.StreamResponse(
            headers={
                "Content-Type": "application/zip",
                "Content-Disposition": attachment(f"{shelved.name}.zip"),
            }
        )
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        async with aclosing(_pulled(chunks, self._do)) as pulled:
            async for chunk in pulled:
                await answer.write(chunk)
        await answer.write_eof()
        return answer

    async def action(self, request: web.Request) -> web.Response:
        """Do what changes something: agree to archive.org, or save."""
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
                return as_json({"agreed": shelved.name in agreed})
            case "save":
                return await self._save(shelved, given.get("selection"))
        raise BadQuestion("action is remote or save")

    async def _save(self, shelved: Shelved, selection: Any) -> web.Response:
        viewer = self._viewer
        if viewer.saving is None:
            return refused(HTTPStatus.CONFLICT, "no folder to save into was given: --to FOLDER")
        if not isinstance(selection, dict):
            raise BadQuestion("selection is no object")
        numbers, wanted = answers.selection(selection)
        saving = viewer.saving

        def work() -> web.Response:
            chosen = shelved.index().numbers(wanted) if numbers is None else numbers
            remote = shelved.name in viewer.agreed
            return as_json(saving.save(shelved, chosen, remote=remote))

        answer: web.Response = await self._do(work)
        return answer


async def _pulled(
    chunks: Generator[bytes], do: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> AsyncGenerator[bytes]:
    """Yield what is made in threads, a piece at a time, each when it is asked for."""
    making: asyncio.Future[Any] | None = None
    try:
        while True:
            making = asyncio.ensure_future(do(partial(next, chunks, None)))
            chunk = await asyncio.shield(making)
            if chunk is None:
                return
            yield chunk
    finally:
        if making is not None and not making.done():
            await asyncio.wait([making])
        chunks.close()
