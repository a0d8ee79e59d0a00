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
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mapillary_crawler.archive.browse import guards
from mapillary_crawler.archive.browse.handlers import MAPS, Handlers, Viewer
from mapillary_crawler.archive.browse.replies import refused, told

#: Bytes of a POST: those of 100,000 numbers.
_POST_BYTES = 2 << 20


def _application(viewer: Viewer, handlers: Handlers) -> web.Application:
    application = web.Application(middlewares=[_guard(viewer)], client_max_size=_POST_BYTES)
    application.on_response_prepare.append(_add_headers)
    of_one = "/api/c/{collection}"
    image = "/image/c/{collection}/{number:[0-9]{1,16}}"
    application.add_routes(
        [
            web.get("/", handlers.page),
            web.get("/static/{name:.+}", handlers.static),
            web.get("/api/session", handlers.session),
            web.get("/api/collections", handlers.collections),
            web.get(of_one, handlers.collection),
            web.get(f"{of_one}/{{what:{'|'.join(MAPS)}}}", handlers.map),
            web.get(f"{of_one}/image/{{number:[0-9]{{1,16}}}}", handlers.fields),
            web.get(image, handlers.image),
            web.get(f"{image}/file", handlers.file),
            web.get("/zip/c/{collection}", handlers.zip),
            web.post(guards.ACTION, handlers.action),
        ]
    )
    return application


def _guard(viewer: Viewer) -> Middleware:
    """Return what stands before all handlers: who may not ask is refused, errors are told."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = guards.refusal(
            request.method,
            request.path,
            request.headers,
            token=viewer.token,
            in_address=request.query.get("token"),
            in_cookie=request.cookies.get(guards.cookie(viewer.port)),
        )
        if refusal:
            return refused(refusal.status, refusal.words)
        try:
            answer: web.StreamResponse = await handler(request)
        except web.HTTPException as error:
            return refused(error.status, error.reason)
        except ConnectionError:  # who asked is gone
            raise
        except Exception as error:
            if isinstance(error, sqlite3.DatabaseError):
                viewer.shelf.discard(request.match_info.get("collection", ""))
            found = told(error)
            if found is None:
                raise
            return found
        return answer

    return guard


async def _add_headers(_: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(guards.HEADERS)


@asynccontextmanager
async def serving(viewer: Viewer, listening: socket.socket) -> AsyncIterator[str]:
    """Serve on a socket that listens while the context lasts; give the address to open."""
    viewer.port = listening.getsockname()[1]
    handlers = Handlers(viewer)
    runner = web.AppRunner(
        _application(viewer, handlers),
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield f"http://127.0.0.1:{viewer.port}/?token={viewer.token}"
    finally:
        viewer.shelf.stop()
        viewer.pictures.close()
        if viewer.saving:
            viewer.saving.stop()
        await runner.cleanup()
        await asyncio.to_thread(handlers.close)
