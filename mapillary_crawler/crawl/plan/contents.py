"""Pure: what a listing says of a user's images, and what a sample of them weighs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from mapillary_crawler.archive.internet_archive.presence import Presence
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import QUALITIES, UNKNOWN_DATE, Collection, capture_day
from mapillary_crawler.crawl.plan.estimate import Estimate, disk_needed, estimate
from mapillary_crawler.ledger.records import Extent


@dataclass
class Sample:
    """Bytes of sampled images by quality, and how fast those of the chosen one came."""

    sizes: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in QUALITIES})
    without: Counter[str] = field(default_factory=Counter)
    fetched: int = 0
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float | None:
        """Images of the chosen quality that came in a second; None if none was fetched."""
        return self.fetched / self.seconds if self.fetched and self.seconds > 0 else None


@dataclass(frozen=True)
class Kinds:
    """Panoramas and cameras of the listed rows."""

    panoramas: int
    cameras: list[tuple[str, int]]


def count_kinds(rows: Iterable[bytes]) -> Kinds:
    """Count panoramas, and images by camera, the most frequent first."""
    panoramas, cameras = 0, Counter[str]()
    for row in rows:
        fields = json.loads(row)
        panoramas += fields.get("is_pano") is True
        cameras[_camera(fields)] += 1
    return Kinds(panoramas, sorted(cameras.items(), key=lambda camera: (-camera[1], camera[0])))


def _camera(fields: dict[str, Any]) -> str:
    """Return make and model; the make once, since many models begin with it."""
    make, model = (
        " ".join(str(fields[name]).split()) if isinstance(fields.get(name), str) else ""
        for name in ("make", "model")
    )
    if model.lower().startswith(make.lower()):
        make = ""
    return " ".join(filter(None, (make, model)))[:80] or "unknown"


@dataclass(frozen=True)
class Plan:
    """All that is known before a crawl; sizes in bytes.

    `free` are those of the disk of staging that the crawl may use, None where it does not tell,
    `siblings` the same user's
    collections that are here, `tar` whether days become tars, of at most `tar_max_bytes`.
    """

    collection: Collection
    extent: Extent
    kinds: Kinds
    balance: Balance
    sample: Sample
    presence: Presence | None
    free: int | None
    siblings: list[str]
    tar: bool
    tar_max_bytes: int

    def estimates(self) -> dict[str, Estimate | None]:
        """Return the estimated bytes of each quality."""
        return {
            quality: estimate(sizes, self.extent.images, self.sample.without[quality])
            for quality, sizes in self.sample.sizes.items()
        }

    @property
    def _chosen(self) -> Estimate | None:
        return self.estimates()[self.collection.quality]

    @property
    def left(self) -> int:
        """Images that the crawl would fetch."""
        return self.balance.unsettled

    @property
    def disk(self) -> int | None:
        """Bytes that the crawl still needs: images, the largest tar beside them, the rest."""
        chosen = self._chosen
        if chosen is None:
            return None
        return disk_needed(
            chosen.mean,
            left=self.left,
            images=self.extent.images,
            largest_day=self.extent.largest_day,
            tar_max_bytes=self.tar_max_bytes if self.tar else 0,
        )

    @property
    def fits(self) -> bool | None:
        """Whether the disk has room for the crawl; None where that is not known."""
        needed = self.disk
        return None if needed is None or self.free is None else needed <= self.free

    @property
    def seconds(self) -> float | None:
        """How long the crawl takes if the images come as fast as those of the sample."""
        speed = self.sample.images_per_second
        return self.left / speed if speed else None

    def items(self, item_max_bytes: int) -> int | None:
        """Return how many items on archive.org it would make; a selection makes none."""
        if self.collection.selection:
            return 0
        chosen = self._chosen
        return None if chosen is None else max(1, -(-round(chosen.size) // item_max_bytes))

    def fields(self, item_max_bytes: int) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        collection, extent = self.collection, self.extent
        return {
            "collection": collection.name,
            "username": collection.username,
            "quality": collection.quality,
            "images": extent.images,
            "outside": self.balance.outside,
            "panoramas": self.kinds.panoramas,
            "sequences": extent.sequences,
            "days": extent.days,
            "undated": extent.undated,
            "first": day(extent.first),
            "last": day(extent.last),
            "cameras": [{"name": name, "images": count} for name, count in self.kinds.cameras],
            "saved": self.balance.saved,
            "gone": self.balance.gone,
            "unavailable": self.balance.unavailable,
            "left": self.left,
            "bytes": {
                quality: found and {name: _whole(value) for name, value in asdict(found).items()}
                for quality, found in self.estimates().items()
            },
            "disk_needed": self.disk,
            "disk_free": self.free,
            "fits": self.fits,
            "seconds": _whole(self.seconds),
            "items": self.items(item_max_bytes),
            "archive_org": self.presence.name.lower() if self.presence else None,
            "siblings": self.siblings,
        }


def day(captured_at: int | None) -> str | None:
    """Return the UTC day of a capture time, None if there is none."""
    found = capture_day(captured_at)
    return None if found == UNKNOWN_DATE else found


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
