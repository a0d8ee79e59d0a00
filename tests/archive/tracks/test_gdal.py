"""GDAL, by which QGIS and others read, opens what is written, also of hostile sequences."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.tracks.geojson import feature_collection
from mapillary_crawler.archive.tracks.gpx import gpx_files
from mapillary_crawler.archive.tracks.kml import kml
from mapillary_crawler.archive.tracks.lines import Line
from tests.archive.tracks.test_lines import at, lines_of

NOON = 1_705_320_000_123
#: Two lines that cross the 180th meridian make two each.
TAKEN = [
    ("across", NOON, at(179.99, 65.0, sequence="across", altitude=-12.4)),
    ("across", NOON + 1000, at(-179.99, 65.01, sequence="across")),
    ("alone", NOON, at(13.4, sequence="alone")),
    ("hostile", NOON, at(1.0, sequence='</script>\u202e"]}', make="A & B <x>")),
    ("hostile", NOON + 1, at(1.1, sequence='</script>\u202e"]}')),
    ("null", NOON, at(0.0, -0.0, sequence="null")),
    ("poles", NOON, at(5.0, 90.0, sequence="poles")),
    ("poles", NOON + 9, at(-180.0, -90.0, sequence="poles")),
    ("undated", None, at(2.0, sequence="undated")),
    ("undated", None, at(2.1, sequence="undated")),
    ("", NOON, at(3.0)),
    ("", NOON + 5, at(4.0)),
    ("", None, at(5.0)),
]


@pytest.fixture
def lines() -> list[Line]:
    return lines_of(TAKEN)


def layers(path: Path) -> dict[str, dict[str, Any]]:
    """Return how many features each layer of a file has, and of what fields, as GDAL sees it."""
    ogrinfo = shutil.which("ogrinfo")
    if ogrinfo is None:
        pytest.skip("ogrinfo is not installed (gdal-bin)")
    ran = subprocess.run(
        [ogrinfo, "-ro", "-al", "-so", path], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    found = {}
    for part in ran.stdout.split("\nLayer name: ")[1:]:
        count = re.search(r"^Feature Count: (\d+)$", part, re.MULTILINE)
        assert count
        fields = dict(re.findall(r"^(\w+): (String|DateTime|Integer)\b", part, re.MULTILINE))
        found[part.splitlines()[0]] = {"features": int(count[1]), "fields": fields}
    return found


def test_geojson(lines: list[Line], tmp_path: Path) -> None:
    path = tmp_path / "sequences.geojson"
    path.write_bytes(b"".join(feature_collection(lines)))
    (layer,) = layers(path).values()
    assert layer["features"] == len(lines)
    assert layer["fields"] == {
        "camera": "String", "first": "DateTime", "images": "Integer", "last": "DateTime",
        "sequence": "String",
    }  # fmt: skip


def test_gpx(lines: list[Line], tmp_path: Path) -> None:
    points: dict[str, int] = {}
    for name, rows in gpx_files(lines):
        path = tmp_path / name
        path.write_bytes(b"".join(rows))
        found = layers(path)
        points[name] = found["track_points"]["features"] + found["waypoints"]["features"]
        assert found["tracks"]["features"] == (0 if name.startswith("no-sequence") else 1)
    assert len(points) == 8
    assert sum(points.values()) >= len(TAKEN)


def test_kml(lines: list[Line], tmp_path: Path) -> None:
    path = tmp_path / "tracks.kml"
    path.write_bytes(b"".join(kml(lines, "mapillary-a<b-original")))
    assert sum(layer["features"] for layer in layers(path).values()) == len(lines)
