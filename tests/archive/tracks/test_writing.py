"""Lines as GeoJSON, GPX and KML, hostile names and all."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from itertools import groupby

from hypothesis import example, given
from hypothesis import strategies as st

from mapillary_crawler.archive.tracks.geojson import feature_collection
from mapillary_crawler.archive.tracks.gpx import gpx_files
from mapillary_crawler.archive.tracks.kml import kml
from mapillary_crawler.archive.tracks.lines import Line, Point
from mapillary_crawler.collection.names import sequence_part
from tests.archive.tracks.made import line_of

GPX = {"g": "http://www.topografix.com/GPX/1/1"}
KML = {"k": "http://www.opengis.net/kml/2.2"}
NOON = 1_705_320_000_123


def line(sequence: str, *points: Point, day: str = "", camera: str = "") -> Line:
    return line_of(points, sequence, part=sequence_part(sequence), day=day, camera=camera)


def point(longitude: float, latitude: float = 2.0, time: int | None = NOON) -> Point:
    return Point(longitude, latitude, None, time)


def gpx(lines: Iterable[Line]) -> dict[str, bytes]:
    return {name: b"".join(rows) for name, rows in gpx_files(lines)}


def test_geojson_to_the_byte() -> None:
    made = b"".join(
        feature_collection(
            [
                line("a", point(1.0), point(1.000004), point(-1e-9, -2.123456), camera="Go\u00e9"),
                line("b", point(1.0, time=None)),
                line("", point(3.0), point(4.0), day="2024-01-15"),
            ]
        )
    )
    assert made.decode() == (
        '{"features":[\n'
        '{"geometry":{"coordinates":[[1.0,2.0],[0.0,-2.12346]],"type":"LineString"},'
        '"properties":{"camera":"Go\u00e9","first":"2024-01-15T12:00:00.123Z","images":3,'
        '"last":"2024-01-15T12:00:00.123Z","sequence":"a"},"type":"Feature"},\n'
        '{"geometry":{"coordinates":[1.0,2.0],"type":"Point"},"properties":{"camera":null,'
        '"first":null,"images":1,"last":null,"sequence":"b"},"type":"Feature"},\n'
        '{"geometry":{"coordinates":[[3.0,2.0],[4.0,2.0]],"type":"MultiPoint"},"properties":'
        '{"camera":null,"first":"2024-01-15T12:00:00.123Z","images":2,'
        '"last":"2024-01-15T12:00:00.123Z","sequence":null},"type":"Feature"}\n'
        '],"type":"FeatureCollection"}\n'
    )
    assert json.loads(b"".join(feature_collection([])))["features"] == []


degrees = st.floats(-180, 180) | st.integers(-9_000_000, 9_000_000).map(lambda each: each / 5e5)


@given(st.lists(st.tuples(degrees, degrees), min_size=2))
@example([(1e-05, -4e-06), (5e-06, 100.00001), (-0.0001, 99.999999), (13.5, 10.10005)])
@example([(1.000005, 2.5), (-0.1, 0.00101), (100.0, -20.0)])
def test_places_are_written_as_json_writes_them(places: list[tuple[float, float]]) -> None:
    rounded = [[round(each, 5) + 0.0 for each in place] for place in places]
    different = [place for place, _ in groupby(rounded)]
    coordinates = different if len(different) > 1 else different[0]
    made = b"".join(feature_collection([line("a", *(point(*place) for place in places))]))
    expected = json.dumps(coordinates, separators=(",", ":"))
    assert made.startswith(b'{"features":[\n{"geometry":{"coordinates":%b,' % expected.encode())


def test_who_stood_still_is_a_point() -> None:
    (row,) = json.loads(b"".join(feature_collection([line("a", point(1.0), point(1.0))])))[
        "features"
    ]
    assert row["geometry"] == {"coordinates": [1.0, 2.0], "type": "Point"}
    assert row["properties"]["images"] == 2


def test_gpx_has_a_file_a_sequence_with_times_and_heights() -> None:
    files = gpx(
        [
            line("a_uX", Point(1.0, 2.0, -3.5, NOON), point(5.0), camera="A & B"),
            line("a_uX", point(6.0)),
            line("", point(7.0), day="2024-01-15"),
            line("../x", point(8.0)),
        ]
    )
    assert list(files) == ["a_uX.gpx", "no-sequence+2024-01-15.gpx", "_u2e_._u2f_x.gpx"]
    track = ET.fromstring(files["a_uX.gpx"])
    assert track.findtext("g:trk/g:name", None, GPX) == "a_uX"
    assert track.findtext("g:trk/g:desc", None, GPX) == "A & B"
    assert len(track.findall("g:trk/g:trkseg", GPX)) == 2
    first = track.find("g:trk/g:trkseg/g:trkpt", GPX)
    assert first is not None
    assert first.attrib == {"lat": "2.0000000", "lon": "1.0000000"}
    assert first.findtext("g:ele", None, GPX) == "-3.50"
    assert first.findtext("g:time", None, GPX) == "2024-01-15T12:00:00.123Z"
    apart = ET.fromstring(files["no-sequence+2024-01-15.gpx"])
    assert len(apart.findall("g:wpt", GPX)) == 1


def test_kml_has_a_placemark_a_line() -> None:
    document = ET.fromstring(
        b"".join(
            kml(
                [
                    line("a", point(1.0), point(2.0), camera="</name>"),
                    line("b", point(1.0, time=None)),
                    line("", point(3.0), point(4.0), day="2024-01-15"),
                ],
                "mapillary-a<b-original",
            )
        )
    )
    marks = document.findall("k:Document/k:Placemark", KML)
    assert [mark.findtext("k:name", None, KML) for mark in marks] == ["a", "b", "2024-01-15"]
    assert marks[0].findtext("k:description", None, KML) == "2 images, </name>"
    assert marks[0].findtext("k:LineString/k:coordinates", None, KML) == (
        "1.000000,2.000000 2.000000,2.000000"
    )
    assert marks[0].findtext("k:TimeSpan/k:begin", None, KML) == "2024-01-15T12:00:00.123Z"
    assert marks[1].find("k:TimeSpan", KML) is None
    assert len(marks[2].findall("k:MultiGeometry/k:Point", KML)) == 2


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.text())
def test_hostile_names_are_text_and_nothing_else(names: list[str], camera: str) -> None:
    names.sort(key=sequence_part)
    lines = [line(name, point(1.0), point(2.0), camera=camera.strip()) for name in names]
    found = json.loads(b"".join(feature_collection(lines)).decode("utf-8", "surrogatepass"))
    assert [each["properties"]["sequence"] for each in found["features"]] == names
    files = gpx(lines)
    assert len({name.encode("ascii") for name in files}) == len(names)
    assert not any("/" in name or name.startswith(".") for name in files)
    for content in files.values():
        ET.fromstring(content)
    marks = ET.fromstring(b"".join(kml(lines, names[0]))).findall("k:Document/k:Placemark", KML)
    assert len(marks) == len(names)
