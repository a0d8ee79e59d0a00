"""Pure: the saved images of a collection as lines, a sequence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mapillary_crawler.collection.names import capture_time, sequence_name
from mapillary_crawler.image import fields as image_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mapillary_crawler.ledger.records import ImageRecord, TakenImage

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

    `sequence` is its id as listed, "" for none; `part` the same as a part of paths. `points` are
    those of images that have a place, `placed`, and the last of the line that this one goes on
    from; `images` counts all, `first` and `last` are the capture times between which those lie
    that have one; `camera` is the first that is named.
    """

    sequence: str
    part: str
    day: str
    points: list[Point] = field(default_factory=list)
    images: int = 0
    placed: int = 0
    first: int | None = None
    last: int | None = None
    camera: str = ""

    def add(self, captured_at: int | None, fields: Mapping[str, Any]) -> None:
        """Take an image in."""
        self.images += 1
        self.camera = self.camera or camera(fields)
        if captured_at is not None:
            self.first = captured_at if self.first is None else min(self.first, captured_at)
            self.last = captured_at if self.last is None else max(self.last, captured_at)


def lines(
    images: Iterable[tuple[ImageRecord | TakenImage, Mapping[str, Any]]], *, heights: bool = True
) -> Iterator[Line]:
    """Yield the lines of images, with their fields, that come by sequence and, within, by time.

    Without `heights` no point has one.

    A line that crosses the 180th meridian goes on in a further one (RFC 7946, 3.1.9). Sequences
    without a place have no line. At most one line is in memory.
    """
    line: Line | None = None
    for image, fields in images:
        captured_at = capture_time(image.captured_at)
        day = "" if image.sequence else image.day
        if line is None or (line.part, line.day) != (image.sequence, day):
            if line and line.points:
                yield line
            name = sequence_name(fields.get("sequence")) or image.sequence
            line = Line(name if image.sequence else "", image.sequence, day)
        point = _point(fields, captured_at, heights=heights)
        if point and _ends(line, point):
            yield line
            ended, line = line, Line(line.sequence, line.part, line.day)
            if len(ended.points) >= MOST_POINTS and ended.part:
                line.points.append(ended.points[-1])
        line.add(captured_at, fields)
        if point:
            line.points.append(point)
            line.placed += 1
    if line and line.points:
        yield line


def _ends(line: Line, point: Point) -> bool:
    """Say whether a line ends before a point."""
    if not line.points:
        return False
    is_across = bool(line.part) and abs(point.longitude - line.points[-1].longitude) > 180
    return is_across or len(line.points) >= MOST_POINTS


def _point(fields: Mapping[str, Any], captured_at: int | None, *, heights: bool) -> Point | None:
    position = image_fields.camera_position(fields)
    if position is None:
        return None
    altitude = image_fields.altitude(fields) if heights else None
    return Point(position.longitude, position.latitude, altitude, captured_at)


def camera(fields: Mapping[str, Any]) -> str:
    """Return maker and model of the camera, "" where neither is known."""
    words = (image_fields.text(fields.get("make")), image_fields.text(fields.get("model")))
    return " ".join(filter(None, words))


def moment(captured_at: int) -> str:
    """Return a capture time as XML and JSON have it: UTC, to the millisecond."""
    there = _EPOCH + timedelta(milliseconds=captured_at)
    return there.strftime("%Y-%m-%dT%H:%M:%S") + f".{captured_at % 1000:03d}Z"
