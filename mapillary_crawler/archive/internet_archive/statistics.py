"""Pure: what all items together come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mapillary_crawler.archive.internet_archive.archived_item import ArchivedItem
from mapillary_crawler.collection.names import QUALITIES

UNKNOWN_UPLOADER = "unknown"


@dataclass(slots=True)
class Count:
    """Collections with all their volumes, the items they are, their images and bytes."""

    collections: int = 0
    items: int = 0
    images: int = 0
    bytes: int = 0

    def add(self, item: ArchivedItem) -> None:
        """Count an item; the first volume stands for its collection."""
        self.items += 1
        self.images += item.images or 0
        self.bytes += item.size


@dataclass(slots=True)
class Statistics:
    """The figures of `ia_stats`; `unique_images` counts each user's largest collection only."""

    total: Count = field(default_factory=Count)
    users: dict[str, Count] = field(default_factory=dict)
    qualities: dict[str, Count] = field(default_factory=dict)
    makers: dict[str, int] = field(default_factory=dict)
    #: Items outside `mapillary-images`, by uploader.
    outside: dict[str, list[ArchivedItem]] = field(default_factory=dict)
    unique_images: int = 0
    #: Items whose description gives no number of images.
    uncounted: int = 0
    #: Items with the tag whose identifier is none of this family's; in no total.
    foreign: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for programs; `users` is a number."""
        return {
            "collections": self.total.collections,
            "items": self.total.items,
            "users": len(self.users),
            "images": self.total.images,
            "unique_images": self.unique_images,
            "bytes": self.total.bytes,
            "items_without_count": self.uncounted,
            "qualities": {name: _figures(count) for name, count in self.qualities.items()},
            "makers": self.makers,
            "outside_mapillary_images": {
                uploader: [item.identifier for item in items]
                for uploader, items in self.outside.items()
            },
            "foreign": self.foreign,
        }

    def users_as_json(self) -> dict[str, Any]:
        """Return the figures of each user."""
        return {name: _figures(count) for name, count in self.users.items()}


def _figures(count: Count) -> dict[str, int]:
    return {
        "collections": count.collections,
        "items": count.items,
        "images": count.images,
        "bytes": count.bytes,
    }


def statistics(items: Iterable[ArchivedItem]) -> Statistics:
    """Return the figures of all items, in orders that do not depend on theirs."""
    result = Statistics()
    collections: defaultdict[tuple[str, str, bool, bool], int] = defaultdict(int)
    outside: defaultdict[str, list[ArchivedItem]] = defaultdict(list)
    users: defaultdict[str, Count] = defaultdict(Count)
    qualities: defaultdict[str, Count] = defaultdict(Count)
    makers: defaultdict[str, int] = defaultdict(int)
    for item in sorted(items, key=lambda item: item.identifier):
        name = item.name
        if name is None:
            result.foreign.append(item.identifier)
            continue
        collections[name.username, name.quality, name.webp, name.jxl] += item.images or 0
        makers[item.maker] += 1
        result.uncounted += item.images is None
        for count in (result.total, users[name.username], qualities[name.quality]):
            count.add(item)
        if not item.at_home:
            outside[item.uploader or UNKNOWN_UPLOADER].append(item)
    largest: defaultdict[str, int] = defaultdict(int)
    for (username, quality, *_), images in collections.items():
        for count in (result.total, users[username], qualities[quality]):
            count.collections += 1
        largest[username] = max(largest[username], images)
    result.unique_images = sum(largest.values())
    result.users = dict(sorted(users.items()))
    result.qualities = {name: qualities[name] for name in QUALITIES[::-1] if name in qualities}
    result.makers = dict(sorted(makers.items()))
    result.outside = dict(sorted(outside.items(), key=lambda each: (-len(each[1]), each[0])))
    return result
