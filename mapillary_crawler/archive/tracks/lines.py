"""Pure: the saved images of a collection as lines, a sequence each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import NamedTuple

from mapillary_crawler.archive.tracks.stretches import Stretch

#: Points of a line at most; the sequence goes on in a further one, from the same point. Those of
#: the service have some hundred to some thousand.
MOST_POINTS = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Point(NamedTuple):
    """Where an image was taken: degrees in WGS 84, metres above the sea, ms since 1970."""

    longitude: float
    latitude: float
    altitude: float | None
    captured_at: int | None


@dataclass(slots=True)
class Line:
    """The images of a sequence, or of a day those without one, which are not connected.

    `sequence` is its id as listed, "" for none; `part` the same as a part of paths. `longitudes`,
    `latitudes`, `heights` and `times` are those of images that have a place, `placed`, and the last
    of the line that this one goes on from; `images` counts all, `first` and `last` are the capture
    times between which those lie that have one; `camera` is the first that is named.
    """

    sequence: str
    part: str
    day: str
    longitudes: array[float] = field(default_factory=lambda: array("d"))
    latitudes: array[float] = field(default_factory=lambda: array("d"))
    heights: array[float] = field(default_factory=lambda: array("d"))
    times: list[int | None] = field(default_factory=list)
    images: int = 0
    placed: int = 0
    first: int | None = None
    last: int | None = None
    camera: str = ""

    def __len__(self) -> int:
        return len(self.longitudes)

    def places(self) -> Iterator[tuple[float, float]]:
        """Yield longitude and latitude of all."""
        return zip(self.longitudes, self.latitudes, strict=True)

    def points(self) -> Iterator[Point]:
        """Yield all, with their times, and their heights where those were asked for."""
        heights = (None if math.isnan(each) else each for each in self.heights)
        rows = zip_longest(self.longitudes, self.latitudes, heights, self.times)
        return map(Point._make, rows)

    def add(self, stretch: Stretch, placed: Stretch) -> None:
        """Take images in, and of those that have a place where that is."""
        self.longitudes += placed.told.longitudes
        self.latitudes += placed.told.latitudes
        self.heights += placed.told.heights
        self.times += placed.times
        self.placed += len(placed.times)
        self.images += len(stretch.times)
        self.camera = self.camera or next(filter(None, stretch.told.cameras), "")
        times = [time for time in stretch.times if time is not None]
        if times:
            first, last = min(times), max(times)
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)

    def goes_on_with(self, placed: Stretch) -> bool:
        """Say whether placed images may be in this line, as far as the extremes of all can tell."""
        further = placed.told.longitudes
        if not further:
            return True
        if len(self) + len(further) > MOST_POINTS:
            return False
        longitudes = self.longitudes[-1:] + further
        return not self.part or max(longitudes) - min(longitudes) <= 180


def lines(stretches: Iterable[Stretch]) -> Iterator[Line]:
    """Yield the lines of images that come by sequence and, within, by time.

    A line that crosses the 180th meridian goes on in a further one (RFC 7946, 3.1.9). Sequences
    without a place have no line. At most one line is in memory.
    """
    line: Line | None = None
    for stretch in stretches:
        day = "" if stretch.sequence else stretch.day
        if line is None or (line.part, line.day) != (stretch.sequence, day):
            if line:
                yield line
            name = stretch.sequence and (stretch.told.sequences[0] or stretch.sequence)
            line = Line(name, stretch.sequence, day)
        placed = stretch.placed()
        if line.goes_on_with(placed):
            line.add(stretch, placed)
            continue
        for image in stretch.each():
            placed = image.placed()
            if not line.goes_on_with(placed):
                yield line
                line = _following(line)
            line.add(image, placed)
    if line:
        yield line


def _following(ended: Line) -> Line:
    """Return the line in which one goes on."""
    line = Line(ended.sequence, ended.part, ended.day)
    if len(ended) >= MOST_POINTS and ended.part:
        for column in ("longitudes", "latitudes", "heights", "times"):
            setattr(line, column, getattr(ended, column)[-1:])
    return line


def moment(captured_at: int) -> str:
    """Return a capture time as XML and JSON have it: UTC, to the millisecond."""
    there = _EPOCH + timedelta(milliseconds=captured_at)
    return there.strftime("%Y-%m-%dT%H:%M:%S") + f".{captured_at % 1000:03d}Z"
