"""Pure: whether archive.org has an item, as its metadata answer says."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any
from urllib.parse import quote


class Presence(Enum):
    """What archive.org has under an identifier; the value is said to the user."""

    EXISTS = "exists"
    DARK = "is dark (withdrawn from view)"
    UPLOADING = "is still being uploaded"
    INCOMPLETE = "has tars and no metadata.jsonl.gz, as an upload that did not come to its end"
    ABSENT = "does not exist"
    UNKNOWN = "gave no usable answer"


def metadata_url(base: str, identifier: str) -> str:
    """Return the address of an item's metadata."""
    return f"{base}/metadata/{quote(identifier, safe='')}"


def item_url(base: str, identifier: str) -> str:
    """Return the address of an item's page."""
    return f"{base}/details/{quote(identifier, safe='')}"


def read_presence(status: int, body: bytes) -> Presence:
    """Return what a metadata answer says.

    archive.org: status 200 with an (almost) empty object for an absent item, so only the
    `metadata` key says that there is one; `is_dark` marks a withdrawn one, and `tasks` or
    `pending_tasks` one that is being worked on. An upload that was given up leaves tars; all
    collections of this family of tools have their metadata beside them.
    """
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return Presence.UNKNOWN
    if status != 200 or not isinstance(answer, dict):
        return Presence.UNKNOWN
    if answer.get("is_dark"):
        return Presence.DARK
    if answer.get("tasks") or answer.get("pending_tasks"):
        return Presence.UPLOADING
    if answer.get("metadata"):
        return Presence.INCOMPLETE if _is_half(answer.get("files")) else Presence.EXISTS
    return Presence.UNKNOWN if "error" in answer else Presence.ABSENT


def _is_half(files: Any) -> bool:
    """Say whether a list of files has tars, and not the metadata that goes with them."""
    entries = files if isinstance(files, list) else []
    names = [str(entry.get("name")) for entry in entries if isinstance(entry, dict)]
    has_metadata = any(name.startswith("metadata.jsonl") for name in names)
    return not has_metadata and any(name.endswith(".tar") for name in names)
