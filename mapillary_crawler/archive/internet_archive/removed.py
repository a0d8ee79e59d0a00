"""Removed: local tars that archive.org has, by what it says at that instant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from mapillary_crawler.archive.internet_archive.removal import removal_obstacle
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import Trouble
from mapillary_crawler.archive.internet_archive.upload import Volume
from mapillary_crawler.archive.internet_archive.uploaded_collection import UploadedCollection
from mapillary_crawler.ledger.records import Piece


class TasksApi(Protocol):
    """The part of `ArchiveOrg` that tells of tasks."""

    def tasks(self, identifier: str) -> dict[str, int]:
        """Return how many tasks of an item stand how."""


class Archive(TasksApi, Protocol):
    """The part that a removal needs."""

    def metadata(self, identifier: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now."""


class NotRemoved(Exception):
    """Tars stay here that were to be removed; the message says which and why, in one line."""


def remove_tars(
    collection: UploadedCollection, archive: Archive, retry: Retry, volumes: Sequence[Volume]
) -> int:
    """Remove the tars that archive.org has, each item looked at anew; return how many.

    Raises `NotRemoved` once all that may go has gone, `Trouble` if archive.org does not answer.
    """
    removed = 0
    kept: list[str] = []
    for volume in volumes:
        pieces = collection.removable(volume.identifier)
        obstacles = _obstacles(collection, archive, retry, volume.identifier, pieces)
        for piece, obstacle in zip(pieces, obstacles, strict=True):
            if obstacle:
                kept.append(f"{piece.name} stays: {obstacle}")
            else:
                collection.remove(piece)
                removed += 1
    if kept:
        more = f" ({len(kept) - 1} more tars stay)" if len(kept) > 1 else ""
        raise NotRemoved(f"{collection.title}: {removed} local tars removed; {kept[0]}{more}")
    return removed


def _obstacles(
    collection: UploadedCollection,
    archive: Archive,
    retry: Retry,
    item: str,
    pieces: Sequence[Piece],
) -> list[str | None]:
    """Return for each piece of an item what archive.org's answer has against its removal."""
    if not pieces:
        return []
    tasks = task_counts(archive, item)
    answer = retry(item, lambda: archive.metadata(item))
    uploader = collection.uploader(item)
    return [
        removal_obstacle(answer, tasks, piece, item=item, uploader=uploader) for piece in pieces
    ]


def task_counts(archive: TasksApi, item: str) -> dict[str, int] | None:
    """Return what the Tasks API says, None where it gives no answer."""
    try:
        return archive.tasks(item)
    except Trouble:
        return None
