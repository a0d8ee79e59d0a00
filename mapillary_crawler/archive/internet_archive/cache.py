"""What the last search found, so that the figures are there without the network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from mapillary_crawler.archive.internet_archive.archived_item import ArchivedItem

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Found:
    """The items of one search and when it ended, in seconds since 1970."""

    items: tuple[ArchivedItem, ...]
    fetched_at: float


class Cache:
    """One file in the user's cache folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "archive_org_items.json"

    @classmethod
    def of_user(cls) -> Cache:
        """Return the cache where the user's system wants it (on Linux: XDG_CACHE_HOME)."""
        return cls(user_cache_path("mapillary_crawler"))

    def read(self) -> Found | None:
        """Return what the last search found, None where there is nothing that can be read."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if kept["version"] != _VERSION:
                return None
            items = tuple(ArchivedItem.kept(fields) for fields in kept["items"])
            return Found(items, float(kept["fetched_at"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, found: Found) -> None:
        """Keep what a search found; a reader sees all of the old or all of the new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with new.open("w", encoding="utf-8") as file:
            json.dump(
                {
                    "version": _VERSION,
                    "fetched_at": found.fetched_at,
                    "items": [item.fields() for item in found.items],
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def with_known_uploaders(
    items: Iterable[ArchivedItem], known: Iterable[ArchivedItem]
) -> list[ArchivedItem]:
    """Return the items with the uploaders that were fetched before."""
    uploaders = {item.identifier: item.uploader for item in known if item.uploader}
    return [
        item
        if item.uploader or item.identifier not in uploaders
        else item.uploaded_by(uploaders[item.identifier])
        for item in items
    ]
