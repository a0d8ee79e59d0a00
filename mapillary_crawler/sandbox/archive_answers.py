"""Answers of archive.org's metadata API that say something else than what the item is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _metadata(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, "metadata": {**answer["metadata"], **changes}}


def _more(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, **changes}


def _twice(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose files are all there a second time, with another md5."""
    others = [{**file, "md5": "0" * 32} for file in answer["files"]]
    files = [*others, *answer["files"]]
    return {**answer, "files": files, "files_count": len(files)}


#: What becomes of an item's answer, by the name of the fault.
ODD: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "dark": _more(is_dark=True),
    "other identifier": _metadata(identifier="mapillary-somebody-original"),
    "other uploader": _metadata(uploader="somebody@example.org"),
    "servers unavailable": _more(servers_unavailable=True),
    "no server": _more(workable_servers=[]),
    "pending": _more(pending_tasks=True),
    "tasks": _more(tasks=[{"cmd": "make_dark.php", "status": "queued"}]),
    "error": _more(error="try again later"),
    "other folder": _more(dir="/1/items/mapillary-somebody-original"),
    "other count": _more(files_count=1),
    "no size": _more(item_size=0),
    "files twice": _twice,
    "absent": lambda _: {},
}
