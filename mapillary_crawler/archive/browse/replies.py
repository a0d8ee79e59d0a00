"""What answers look like, and what the errors of a question become."""

from __future__ import annotations

import json
import sqlite3
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import web

from mapillary_crawler.archive.browse.asked import BadQuestion
from mapillary_crawler.archive.browse.pictures import Removed
from mapillary_crawler.archive.extract.sources import Unreadable
from mapillary_crawler.collection.outcome import ProjectError, RunStopped
from mapillary_crawler.terminal.quoting import printable


def attachment(name: str) -> str:
    """Return the header by which a browser keeps a file under a name (RFC 6266)."""
    plain = "".join(each if each.isascii() and each.isprintable() else "_" for each in name)
    plain = plain.replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def as_json(found: dict[str, Any]) -> web.Response:
    """Return an answer that is read by the page's script."""
    body = json.dumps(found, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
    return web.Response(body=body, headers=headers)


def refused(status: int, words: str, **more: str) -> web.Response:
    """Return an answer that says why there is none."""
    answer = as_json({"error": words, **more})
    answer.set_status(status)
    return answer


def told(error: Exception) -> web.Response | None:
    """Return the answer that says what went wrong, None for an error of the program's own."""
    match error:
        case BadQuestion():
            return refused(HTTPStatus.BAD_REQUEST, str(error))
        case Removed():
            return refused(HTTPStatus.CONFLICT, "removed", item=error.item)
        case Unreadable():
            return refused(HTTPStatus.NOT_FOUND, printable(str(error)))
        case RunStopped():
            return refused(HTTPStatus.SERVICE_UNAVAILABLE, "the viewer ends")
        case ProjectError() | OSError() | sqlite3.Error():
            return refused(HTTPStatus.INTERNAL_SERVER_ERROR, printable(str(error)))
    return None
