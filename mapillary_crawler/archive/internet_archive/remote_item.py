"""Pure: an item as archive.org's metadata API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mapillary_crawler.collection.layout import THUMBNAIL
from mapillary_crawler.ledger.records import Piece


class RemoteFile(NamedTuple):
    """A file of an item; what archive.org does not say of it is None."""

    size: int | None
    md5: str | None


class RemoteItem:
    """The answer of the metadata API, whatever its shape."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        metadata = answer.get("metadata")
        self.metadata: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
        self.is_dark = bool(answer.get("is_dark"))
        #: Tasks are queued or running, as far as this answer tells.
        self.is_busy = bool(answer.get("pending_tasks") or answer.get("tasks"))
        entries = answer.get("files")
        self.files: dict[str, RemoteFile] = {
            entry["name"]: RemoteFile(_number(entry.get("size")), entry.get("md5"))
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }

    @property
    def exists(self) -> bool:
        """Whether there is such an item: an absent one is an empty object."""
        return bool(self.metadata)

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


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None
