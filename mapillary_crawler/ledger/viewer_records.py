"""What the viewer's index holds and is asked: records, without SQLite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mapillary_crawler.ledger.records import ImageRecord

#: The day of images without a capture time.
UNDATED = -1


class IndexedImage(NamedTuple):
    """A row of `images`, without its number; sequence, camera and tar by theirs."""

    day: int
    sequence: int
    camera: int
    pano: bool
    longitude: float | None
    latitude: float | None
    compass: float | None
    image_id: str
    captured_at: int | None
    width: int | None
    height: int | None
    state: int
    folder: str
    extension: str | None
    sha256: bytes | None
    size: int | None
    tar: int | None
    offset: int | None
    page: int | None
    row: int | None


class PlacedImage(NamedTuple):
    """An image that has a place, in degrees, as lines are made of."""

    longitude: float
    latitude: float
    day: int
    sequence: int
    camera: int
    pano: int


class IndexedLine(NamedTuple):
    """A line of images of one day, camera and kind; its box in units of the world's map."""

    images: int
    west: float
    north: float
    east: float
    south: float
    day: int
    sequence: int
    camera: int
    pano: int


class Box(NamedTuple):
    """A box in degrees; where west is above east it crosses the 180th meridian."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an image must fit to be shown, all of it.

    `days` are the first and the last one, since 1970 or `UNDATED`, None for open ends; `sequence`
    is its name as told, "" for images without one.
    """

    days: tuple[int | None, int | None] | None = None
    sequence: str | None = None
    camera: str | None = None
    pano: bool | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image as the viewer shows it; `record` says where its bytes are, `item` who else has it.

    `removed` says that its tar was removed on purpose, or that nothing knows better.
    """

    record: ImageRecord
    day: int
    sequence: str
    camera: str
    pano: bool
    longitude: float | None
    latitude: float | None
    compass: float | None
    width: int | None
    height: int | None
    item: str | None
    removed: bool


class Line(NamedTuple):
    """A line of the map: its box in units of the world's map, and how many points it has."""

    number: int
    images: int
    west: float
    north: float
    east: float
    south: float


class Tar(NamedTuple):
    """A tar of the collection, and the end of its last image."""

    name: str
    item: str | None
    removed: bool
    images: int
    end: int
