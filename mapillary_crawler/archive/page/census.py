"""Pure: what is counted for a page while the saved images of a collection go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mapillary_crawler.archive.tracks.lines import camera
from mapillary_crawler.collection.names import UNKNOWN_DATE
from mapillary_crawler.ledger.records import TakenImage

#: Names of cameras that are counted each by itself; of strangers' rows any number may come.
_MOST_CAMERAS = 5000


@dataclass(slots=True)
class Census:
    """Counts of saved images: by day, by camera, of panoramas; `placed` is told by who knows it.

    `others` are of cameras that are not counted by name; images without a camera are in neither.
    """

    days: Counter[str] = field(default_factory=Counter)
    cameras: Counter[str] = field(default_factory=Counter)
    others: int = 0
    sequences: int = 0
    panoramas: int = 0
    placed: int = 0
    _last: str = ""
    #: What the camera of the image before is called, by maker and model as they come.
    _named: tuple[Any, Any, str] = (None, None, "")

    def counted(
        self, images: Iterable[tuple[TakenImage, Mapping[str, Any]]]
    ) -> Iterator[tuple[TakenImage, Mapping[str, Any]]]:
        """Yield images that come by sequence, with their fields, and count them."""
        for image, fields in images:
            self._count(image, fields)
            yield image, fields

    def _count(self, image: TakenImage, fields: Mapping[str, Any]) -> None:
        self.days[image.day] += 1
        if image.sequence and image.sequence != self._last:
            self.sequences += 1
        self._last = image.sequence
        self.panoramas += fields.get("is_pano") is True
        name = self._camera(fields)
        if name in self.cameras or (name and len(self.cameras) < _MOST_CAMERAS):
            self.cameras[name] += 1
        elif name:
            self.others += 1

    def _camera(self, fields: Mapping[str, Any]) -> str:
        make, model = fields.get("make"), fields.get("model")
        if self._named[:2] != (make, model):
            self._named = make, model, camera(fields)
        return self._named[2]

    @property
    def images(self) -> int:
        """How many were counted."""
        return self.days.total()

    @property
    def months(self) -> dict[str, int]:
        """Images by month, YYYY-MM, in order; those without a date are not among them."""
        months: Counter[str] = Counter()
        for day, images in self.days.items():
            if day != UNKNOWN_DATE:
                months[day[:7]] += images
        return dict(sorted(months.items()))

    @property
    def dated(self) -> list[str]:
        """The days of images that have one, in order."""
        return sorted(day for day in self.days if day != UNKNOWN_DATE)
