"""archive.org's scrape API: a search by tags, page by page with a cursor."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from . import identifiers
from .answer import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .answer import Request
    from .archive_item import Item

#: The fewest and the most results of a page.
_LEAST, _MOST = 100, 10_000
_TERM = re.compile(r"(?P<tag>\w+):(?P<value>\S+)")


def scrape(request: Request, items: Mapping[str, Item]) -> Answer:
    """Answer `/services/search/v1/scrape`; dark items are in no result."""
    query = request.query.get("q", "")
    terms = [_TERM.fullmatch(each) for each in query.strip("() ").split(" OR ")]
    if not all(terms):
        return Answer.of_json({"error": f"invalid query {query!r}", "errorType": "query"}, 400)
    found = sorted(
        name
        for name, item in items.items()
        if any(_matches(item.metadata, term["tag"], term["value"]) for term in terms if term)
    )
    if request.query.get("total_only") == "true":
        return Answer.of_json({"items": [], "total": len(found)})
    count = int(request.query.get("count", _MOST))
    if not _LEAST <= count <= _MOST:
        return Answer.of_json({"error": f"count is {_LEAST} to {_MOST}", "errorType": "count"}, 400)
    first = 0
    if "cursor" in request.query:
        position = _position(request.query["cursor"])
        if position is None:
            return Answer.of_json({"error": "invalid cursor", "errorType": "cursor"}, 400)
        first = position
    page = found[first : first + count]
    fields = request.query.get("fields", "identifier").split(",")
    answer: dict[str, Any] = {
        "items": [_result(items[name], name, fields) for name in page],
        "count": len(page),
        "total": len(found),
    }
    if first + count < len(found):
        answer["cursor"] = identifiers.encode(json.dumps({"from": first + count}).encode())
    return Answer.of_json(answer)


def _position(cursor: str) -> int | None:
    try:
        position: int = json.loads(identifiers.decode(cursor))["from"]
    except (ValueError, KeyError, TypeError):
        return None
    return position


def _matches(metadata: Mapping[str, Any], tag: str, value: str) -> bool:
    if tag not in metadata:
        return False
    values = metadata[tag] if isinstance(metadata[tag], list) else [metadata[tag]]
    return value == "*" or any(
        str(each) == value or (value.endswith("*") and str(each).startswith(value[:-1]))
        for each in values
    )


def _result(item: Item, name: str, fields: list[str]) -> dict[str, Any]:
    """Return a result; the uploader's address is in the item's metadata only."""
    known = {**item.metadata, "identifier": name, "item_size": item.answer.get("item_size", 0)}
    known.pop("uploader", None)
    return {field: known[field] for field in fields if field in known}
