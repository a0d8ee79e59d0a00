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
    `pending_tasks` one that is being worked on.
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
        return Presence.EXISTS
    return Presence.UNKNOWN if "error" in answer else Presence.ABSENT
