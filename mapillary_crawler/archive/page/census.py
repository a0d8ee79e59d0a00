"""Pure: what is counted for a page while the saved images of a collection go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mapillary_crawler.archive.tracks.stretches import Stretch
from mapillary_crawler.collection.names import UNKNOWN_DATE

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

    def counted(self, stretches: Iterable[Stretch]) -> Iterator[Stretch]:
        """Yield images that come by sequence, and count them."""
        for stretch in stretches:
            self._count(stretch)
            yield stretch

    def _count(self, stretch: Stretch) -> None:
        self.days[stretch.day] += len(stretch.times)
        if stretch.sequence and stretch.sequence != self._last:
            self.sequences += 1
        self._last = stretch.sequence
        self.panoramas += sum(stretch.told.panoramas)
        for name, images in Counter(filter(None, stretch.told.cameras)).items():
            if name in self.cameras or len(self.cameras) < _MOST_CAMERAS:
                self.cameras[name] += images
            else:
                self.others += images

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
