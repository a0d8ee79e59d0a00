"""Pure: lines as one KML 2.2 document, which Google Earth opens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from mapillary_crawler.archive.tracks.lines import Line, moment
from mapillary_crawler.image.fields import text


def kml(lines: Iterable[Line], name: str) -> Iterator[bytes]:
    """Yield the rows of a document of that name, a placemark a line."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    yield b'<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document>\n'
    yield f"<name>{escape(text(name))}</name>\n".encode()
    for line in lines:
        yield _placemark(line).encode()
    yield b"</Document>\n</kml>\n"


def _placemark(line: Line) -> str:
    """Return a line with what is said of it; KML wants what it is drawn as last."""
    of = f", {text(line.camera)}" if line.camera else ""
    return (
        f"<Placemark><name>{escape(text(line.sequence or line.day))}</name>"
        f"<description>{escape(f'{line.images} images{of}')}</description>"
        f"{_span(line)}{_geometry(line)}</Placemark>\n"
    )


def _span(line: Line) -> str:
    if line.first is None or line.last is None:
        return ""
    begin, end = moment(line.first), moment(line.last)
    return f"<TimeSpan><begin>{begin}</begin><end>{end}</end></TimeSpan>"


def _geometry(line: Line) -> str:
    if line.part and len(line) > 1:
        return f"<LineString>{_coordinates(line.places())}</LineString>"
    points = "".join(f"<Point>{_coordinates([place])}</Point>" for place in line.places())
    return points if len(line) == 1 else f"<MultiGeometry>{points}</MultiGeometry>"


def _coordinates(places: Iterable[tuple[float, float]]) -> str:
    """Return longitude and latitude; heights are left out, lines lie on the ground."""
    written = " ".join(f"{longitude:.6f},{latitude:.6f}" for longitude, latitude in places)
    return f"<coordinates>{written}</coordinates>"
