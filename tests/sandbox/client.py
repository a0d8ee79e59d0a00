"""Asks the sandbox's Graph API without a network."""

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from mapillary_crawler.sandbox.answer import Request
from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.graph import TOKEN
from mapillary_crawler.sandbox.server import Server

ORIGIN = "http://127.0.0.1:54321"
HEADER = {"Authorization": f"OAuth {TOKEN}"}


def served(faults: dict[str, Any] | None = None, seed: int = 1, **keys: Any) -> Server:
    catalogue = Catalogue([{"username": "alice", **keys}], seed)
    return Server(catalogue, faults={"api": faults or {}})


def ask(
    server: Server, path: str, headers: dict[str, str] | None = None, **query: str
) -> tuple[int, Any]:
    target = f"{quote(path)}?{urlencode(query)}"
    request = Request(
        "GET", target, path, query, HEADER if headers is None else headers, b"", ORIGIN
    )
    answer = server.graph.answer(request, server.counters.count("api", request, target))
    return answer.status, json.loads(answer.body)


def pages(server: Server, **query: str) -> list[dict[str, Any]]:
    """All pages of a listing, by `next`."""
    found = [ask(server, "/images", **{"creator_username": "alice", **query})[1]]
    while "next" in found[-1].get("paging", {}):
        parts = urlsplit(found[-1]["paging"]["next"])
        assert f"{parts.scheme}://{parts.netloc}" == ORIGIN
        following = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found.append(ask(server, parts.path, **following)[1])
        assert len(found) < 100, "the listing does not end"
    return found


def listed(found: list[dict[str, Any]]) -> list[Any]:
    return [row["id"] for page in found for row in page["data"]]


def expected(server: Server) -> list[str]:
    return [image.image_id for image in server.catalogue.user("alice").images()]
