"""Pure: lines as GPX 1.1, a file a sequence: track points with times, else waypoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from xml.sax.saxutils import escape

from mapillary_crawler.archive.tracks.lines import Line, Point, moment
from mapillary_crawler.collection.names import sequence_folder
from mapillary_crawler.image.fields import text

_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="mapillary_crawler" xmlns="http://www.topografix.com/GPX/1/1">
"""


def gpx_files(lines: Iterable[Line]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the names of files, and their rows, which are to be taken before the next name.

    Images without a sequence are not connected: a file a day has them as waypoints. No sequence's
    name has a `+`.
    """
    for _, of_one in groupby(lines, lambda line: (line.part, line.day)):
        yield _file(of_one)


def _file(lines: Iterator[Line]) -> tuple[str, Iterator[bytes]]:
    first = next(lines)
    if first.part:
        return f"{sequence_folder(first.sequence)}.gpx", _track(first, lines)
    return f"no-sequence+{first.day}.gpx", _waypoints(chain([first], lines))


def _track(line: Line, further: Iterator[Line]) -> Iterator[bytes]:
    yield _HEAD.encode()
    yield f"<trk><name>{_text(line.sequence)}</name>".encode()
    if line.camera:
        yield f"<desc>{_text(line.camera)}</desc>".encode()
    yield b"\n"
    yield from _segment(line)
    for each in further:
        yield from _segment(each)
    yield b"</trk>\n</gpx>\n"


def _segment(line: Line) -> Iterator[bytes]:
    yield b"<trkseg>\n"
    for point in line.points():
        yield _point("trkpt", point)
    yield b"</trkseg>\n"


def _waypoints(lines: Iterator[Line]) -> Iterator[bytes]:
    yield _HEAD.encode()
    for line in lines:
        for point in line.points():
            yield _point("wpt", point)
    yield b"</gpx>\n"


def _point(kind: str, point: Point) -> bytes:
    ele = "" if point.altitude is None else f"<ele>{point.altitude:.2f}</ele>"
    time = "" if point.captured_at is None else f"<time>{moment(point.captured_at)}</time>"
    place = f'lat="{point.latitude:.7f}" lon="{point.longitude:.7f}"'
    return f"<{kind} {place}>{ele}{time}</{kind}>\n".encode()


def _text(value: str) -> str:
    return escape(text(value))
