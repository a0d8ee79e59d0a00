"""Pure: what a page says of a collection."""

from __future__ import annotations

from dataclasses import dataclass, field

from mapillary_crawler.archive.page.census import Census
from mapillary_crawler.archive.page.tracks import Tracks
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.ledger.records import ImageRecord

#: Pictures of a page at most.
MOST_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of an image as a JPEG, and where that was taken: longitude, latitude."""

    image: ImageRecord
    jpeg: bytes
    place: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PageContents:
    """All that a page is made of; `pictures` are in the order of their days."""

    collection: Collection
    balance: Balance
    tar: bool
    census: Census = field(default_factory=Census)
    tracks: Tracks = field(default_factory=Tracks)
    pictures: tuple[Picture, ...] = ()
