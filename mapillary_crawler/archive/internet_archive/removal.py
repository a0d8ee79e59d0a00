"""Pure: whether a part may be removed here on the strength of what archive.org says.

The one rule for whoever removes: without a copy here, archive.org's is the only one left. An
answer that is odd in any way removes nothing; that costs disk space, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mapillary_crawler.ledger.records import Piece


def removal_obstacle(
    answer: Mapping[str, Any],
    tasks: Mapping[str, int] | None,
    piece: Piece,
    *,
    item: str,
    uploader: str | None,
) -> str | None:
    """Return why a piece may not be removed here, None where it may.

    `answer` is a fresh answer of the metadata API, `tasks` the counts of the Tasks API (None
    where it did not answer), `item` the identifier that has the piece. `uploader` is who the
    first answer after our own first accepted PUT said had uploaded the item.
    """
    return (
        answer_obstacle(answer, item)
        or _pending(answer, tasks)
        or _other_uploader(answer, uploader)
        or _difference(answer, piece)
    )


def answer_obstacle(answer: Mapping[str, Any], item: str) -> str | None:
    """Return why an answer of the metadata API proves nothing of an item, None if it may.

    archive.org: an absent item is an empty object, a withdrawn one has `is_dark`, and an item
    whose servers are away has `servers_unavailable` beside what a cache remembers of it.
    """
    metadata, files = answer.get("metadata"), answer.get("files")
    identifier = metadata.get("identifier") if isinstance(metadata, dict) else None
    named = isinstance(files, list) and all(map(_is_file, files))
    away = answer.get("servers_unavailable") or answer.get("workable_servers", True) == []
    for odd, why in (
        (answer.get("is_dark"), "archive.org has made the item dark"),
        (answer.get("error"), "archive.org answers with an error"),
        (away, "archive.org says that the item's servers are unavailable"),
        (not identifier, "archive.org does not show the item"),
        (identifier != item, "archive.org's answer is about another item"),
        (not named, "archive.org's answer has no list of files"),
    ):
        if odd:
            return why
    return _contradiction(answer, item, answer["files"])


def _is_file(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _contradiction(answer: Mapping[str, Any], item: str, files: list[dict[str, Any]]) -> str | None:
    """Return in what an answer contradicts itself: its place, its counts, a file named twice."""
    place, count, size = (answer.get(name) for name in ("dir", "files_count", "item_size"))
    digests: dict[str, tuple[Any, Any]] = {}
    for file in files:
        said = (file.get("md5"), str(file.get("size")))
        if digests.setdefault(file["name"], said) != said:
            return f"archive.org's answer contradicts itself: it has two {file['name']}"
    if isinstance(place, str) and place.rstrip("/").rpartition("/")[2] != item:
        return "archive.org's answer contradicts itself: its folder is another item's"
    if count is not None and _number(count) != len(files):
        return "archive.org's answer contradicts itself: its number of files"
    largest = max((_number(file.get("size")) or 0 for file in files), default=0)
    if size is not None and (_number(size) or 0) < largest:
        return "archive.org's answer contradicts itself: the item is smaller than a file in it"
    return None


def _pending(answer: Mapping[str, Any], tasks: Mapping[str, int] | None) -> str | None:
    """Return that tasks are pending, by either answer; without an API's one, no field is none."""
    if answer.get("pending_tasks") or answer.get("tasks") or any((tasks or {}).values()):
        return "archive.org still has tasks for the item"
    return None


def _other_uploader(answer: Mapping[str, Any], uploader: str | None) -> str | None:
    if uploader is None:
        return "it is not known that the item is of these keys: none of its files was sent here"
    if answer["metadata"].get("uploader") != uploader:
        return "archive.org names another uploader of the item than after the upload"
    return None


def _difference(answer: Mapping[str, Any], piece: Piece) -> str | None:
    """Return how what the item has differs from a piece; what is not known differs."""
    file = next((file for file in answer["files"] if file["name"] == piece.name), None)
    if file is None:
        return f"the item does not have {piece.name}"
    if piece.md5 is None or file.get("md5") != piece.md5.hex():
        return f"the item's {piece.name} has another md5"
    if piece.size is None or _number(file.get("size")) != piece.size:
        return f"the item's {piece.name} has another size"
    return None


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
