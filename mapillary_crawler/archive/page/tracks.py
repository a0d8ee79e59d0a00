"""Pure: the lines of a collection, small enough for a page."""

from __future__ import annotations

from dataclasses import dataclass

from mapillary_crawler.archive.page.packing import Packing
from mapillary_crawler.archive.page.simplified import Place, simplified
from mapillary_crawler.archive.tracks.lines import Line

#: Places a degree, and what of them a line is simplified by at first: 2 m.
GRID = 100_000
_TOLERANCE = 2.0
#: What is kept in memory: places, and what a line costs besides, in places.
_MOST_PLACES, _LINE = 50_000, 2
#: Bytes of all of it, packed.
MOST_BYTES = 140_000


@dataclass(slots=True)
class _Track:
    """A line, or places that are not connected.

    `day` counts from 1970-01-01, which is 1; 0 where the first image has no date.
    """

    day: int
    images: int
    connected: bool
    places: list[Place]


class Tracks:
    """Lines as they come, each simplified at once, and all of them again where they are too many.

    The same lines make the same bytes. Memory does not grow with the number of lines.
    """

    def __init__(self, most_places: int = _MOST_PLACES, most_bytes: int = MOST_BYTES) -> None:
        self._tracks: list[_Track] = []
        self._tolerance = _TOLERANCE
        self._size = 0
        self._most_places = most_places
        self._most_bytes = most_bytes

    def __bool__(self) -> bool:
        return bool(self._tracks)

    def add(self, line: Line) -> None:
        """Take in a line that has a point."""
        places = [(round(x * GRID), round(y * GRID)) for x, y in line.places()]
        track = _Track(_day(line), line.images, bool(line.part), places)
        self._simplify(track)
        self._tracks.append(track)
        self._size += len(track.places) + _LINE
        while self._size > self._most_places:
            self._coarsen()

    def packed(self) -> bytes:
        """Return all of them by their days: day, images, places and whether they are connected."""
        while len(packed := self._packed()) > self._most_bytes:
            self._coarsen()
        return packed

    def _packed(self) -> bytes:
        packing = Packing()
        for track in sorted(self._tracks, key=lambda track: track.day):
            packing.add(track.day)
            packing.add(track.images)
            packing.add(2 * len(track.places) + track.connected)
            packing.add_places(track.places)
        return packing.packed()

    def _coarsen(self) -> None:
        """Simplify all by twice as much; of lines that shrink to a place, one a cell stays."""
        self._tolerance *= 2
        cells: dict[Place, _Track] = {}
        kept = []
        for track in self._tracks:
            self._simplify(track)
            if len(track.places) == 1:
                same = cells.setdefault(self._cell(track.places[0]), track)
                if same is not track:
                    same.images += track.images
                    continue
            kept.append(track)
        self._tracks = kept
        self._size = sum(len(track.places) + _LINE for track in kept)

    def _simplify(self, track: _Track) -> None:
        if track.connected:
            track.places = simplified(track.places, self._tolerance)
        else:
            of_cells = {self._cell(place): place for place in reversed(track.places)}
            track.places = list(reversed(of_cells.values()))

    def _cell(self, place: Place) -> Place:
        return int(place[0] // self._tolerance), int(place[1] // self._tolerance)


def _day(line: Line) -> int:
    """Return the day of a line's first image."""
    return 0 if line.first is None else line.first // 86_400_000 + 1
