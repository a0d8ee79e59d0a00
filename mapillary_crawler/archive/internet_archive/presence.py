"""Pure: an item as archive.org's metadata API shows it, and whether there is one at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import quote

from mapillary_crawler.archive.finish.tags import made_here
from mapillary_crawler.collection.layout import SUMS, TAR, THUMBNAIL
from mapillary_crawler.ledger.records import Piece

#: Digits of the longest size that is believed.
_DIGITS = 20


class Presence(Enum):
    """What archive.org has under an identifier; the value is said to the user."""

    EXISTS = "exists"
    DARK = "is dark (withdrawn from view)"
    UPLOADING = "is still being uploaded"
    INCOMPLETE = "lacks files, as an upload that did not come to its end"
    ABSENT = "does not exist"
    UNKNOWN = "gave no usable answer"


class RemoteFile(NamedTuple):
    """A file of an item; what archive.org does not say of it is None."""

    size: int | None
    md5: str | None


class RemoteItem:
    """The answer of the metadata API, whatever its shape.

    archive.org: status 200 with an (almost) empty object for an absent item, so only the
    `metadata` key says that there is one; `is_dark` marks a withdrawn one, and `tasks` or
    `pending_tasks` one that is being worked on.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        metadata = answer.get("metadata")
        self.exists = bool(metadata)
        self.metadata: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
        self.is_dark = bool(answer.get("is_dark"))
        #: Tasks are queued or running, as far as this answer tells.
        self.is_busy = bool(answer.get("pending_tasks") or answer.get("tasks"))
        self.is_error = "error" in answer
        entries = answer.get("files")
        self.files: dict[str, RemoteFile] = {
            entry["name"]: RemoteFile(_number(entry.get("size")), entry.get("md5"))
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }

    @property
    def presence(self) -> Presence:
        """What there is, in the order in which it matters to who would crawl the same."""
        if self.is_dark:
            return Presence.DARK
        if self.is_busy:
            return Presence.UPLOADING
        if self.exists:
            return Presence.INCOMPLETE if self._is_half else Presence.EXISTS
        return Presence.UNKNOWN if self.is_error else Presence.ABSENT

    @property
    def _is_half(self) -> bool:
        """Whether there are tars without the metadata that goes with them, or our last file.

        An upload that was given up leaves that. All collections of this family of tools have
        their metadata beside their tars; this program sends it first, and SHA256SUMS last.
        """
        has_metadata = any(name.startswith("metadata.jsonl") for name in self.files)
        if has_metadata and self._is_ours:
            return SUMS not in self.files
        return not has_metadata and any(name.endswith(TAR) for name in self.files)

    @property
    def _is_ours(self) -> bool:
        """Whether this program has made the item's collection, as `scanner` says."""
        scanner = self.metadata.get("scanner")
        return made_here(scanner if isinstance(scanner, list) else [scanner])

    def holds(self, piece: Piece) -> bool:
        """Say whether the item has a piece, byte for byte as far as md5 and size tell.

        The thumbnail is archive.org's to make anew, so any will do.
        """
        file = self.files.get(piece.name)
        if file is None:
            return False
        if piece.name == THUMBNAIL:
            return True
        return (piece.md5 is None or file.md5 == piece.md5.hex()) and (
            piece.size is None or file.size == piece.size
        )


def metadata_url(base: str, identifier: str) -> str:
    """Return the address of an item's metadata."""
    return f"{base}/metadata/{quote(identifier, safe='')}"


def item_url(base: str, identifier: str) -> str:
    """Return the address of an item's page."""
    return f"{base}/details/{quote(identifier, safe='')}"


def read_presence(status: int, body: bytes) -> Presence:
    """Return what an answer of the metadata API says of an item, by its status and its body."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return Presence.UNKNOWN
    if status != 200 or not isinstance(answer, dict):
        return Presence.UNKNOWN
    return RemoteItem(answer).presence


def _number(value: Any) -> int | None:
    """Return a size; Python refuses to read numbers of thousands of digits."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
