"""Readers that share no code with the writer: what they find is what Mapillary said.

exiftool is skipped where it is not installed; Panoramax' reader is in tests/judges. OpenSfM and ODM
are represented by their rules.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from mapillary_crawler.image import exif, jpeg, xmp


class Case(NamedTuple):
    row: dict[str, Any]
    latitude: float
    longitude: float
    altitude: float | None
    heading: float | None
    panorama: bool
    captured_at: int


def case(
    latitude: float,
    longitude: float,
    altitude: float | None = None,
    heading: float | None = None,
    camera: str = "perspective",
    captured_at: int = 1_700_000_000_123,
) -> Case:
    row: dict[str, Any] = {
        "geometry": {"type": "Point", "coordinates": [1, 1]},
        "computed_geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "camera_type": camera,
        "make": "Citroën",
        "model": "日本 1",
        "computed_altitude": 55.5,
        "width": 5760,
        "height": 2880,
        "exif_orientation": 6,
        "sequence": "-a_b",
    }
    if altitude is not None:
        row["altitude"] = altitude
    if heading is not None:
        row |= {"computed_compass_angle": heading, "compass_angle": 123}
    panorama = camera in ("spherical", "equirectangular")
    return Case(row, latitude, longitude, altitude, heading, panorama, captured_at)


CASES = {
    "zeros": case(48.777089857534, 9.18, 0.0, 0.0, "spherical"),
    "below-sea": case(-33.856784, 151.215297, -12.4, 359.9999999, "equirectangular"),
    "flat": case(52 + 59 / 60 + 59.9999996 / 3600, -0.5, 27.5, 12.25),
    "unknown": case(39.068354912098, -108.57081597085, captured_at=1_563_721_072_000),
    "west": case(-0.25, -179.9999999, 4000, 180, "spherical", 951_782_400_001),
}


def photograph(panorama: bool) -> bytes:
    output = BytesIO()
    size = (1024, 512) if panorama else (1024, 576)
    Image.linear_gradient("L").resize(size).convert("RGB").save(output, "JPEG")
    return output.getvalue()


def written(case: Case, served: bytes | None = None) -> bytes:
    body = served or photograph(case.panorama)
    body = exif.write(body, case.row, captured_at=case.captured_at, username="ada").data
    return xmp.write(
        body, case.row, image_id="123", username="ada", captured_at=case.captured_at
    ).data


def within_a_centimetre(found: float, expected: float) -> bool:
    return abs(found - expected) * 111_320 < 0.01


def exiftool(folder: Path) -> dict[str, dict[str, Any]]:
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed")
    options = ("-j", "-n", "-G1", "-a", "-charset", "exif=utf8")
    answer = subprocess.run(
        [program, *options, str(folder)], capture_output=True, check=True, text=True
    )
    return {Path(found["SourceFile"]).stem: found for found in json.loads(answer.stdout)}


def test_exiftool(tmp_path: Path):
    for name, one in CASES.items():
        (tmp_path / f"{name}.jpg").write_bytes(written(one))
    for name, found in exiftool(tmp_path).items():
        one = CASES[name]
        assert not [key for key in found if key.endswith((":Warning", ":Error"))]
        stamp = found["Composite:SubSecDateTimeOriginal"]
        moment = datetime.strptime(stamp, "%Y:%m:%d %H:%M:%S.%f%z")
        assert round(moment.timestamp() * 1000) == one.captured_at
        stamp = found["Composite:GPSDateTime"]
        assert datetime.fromisoformat(stamp.replace(":", "-", 2)) == moment
        assert within_a_centimetre(found["Composite:GPSLatitude"], one.latitude)
        assert within_a_centimetre(found["Composite:GPSLongitude"], one.longitude)
        assert found.get("Composite:GPSAltitude") == one.altitude
        heading = None if one.heading is None else round(one.heading, 6) % 360
        assert found.get("GPS:GPSImgDirection") == heading
        assert (found["IFD0:Make"], found["IFD0:Model"]) == ("Citroën", "日本 1")
        assert found["IFD0:Artist"] == "@ada"
        assert "IFD0:Orientation" not in found
        assert found["XMP-mapillary:Geometry"] == "computed"
        assert found["XMP-dc:Source"].endswith("?pKey=123")
        if one.panorama:
            assert found["XMP-GPano:ProjectionType"] == "equirectangular"
            assert found["XMP-GPano:PoseHeadingDegrees"] == heading
            assert found["XMP-GPano:FullPanoWidthPixels"] == found["File:ImageWidth"]
            assert found["XMP-GPano:CroppedAreaImageHeightPixels"] == found["File:ImageHeight"]
            assert found["XMP-GPano:CroppedAreaTopPixels"] == 0
        else:
            assert not [key for key in found if key.startswith("XMP-GPano")]


def test_exiftool_on_real_files(tmp_path: Path, shared_folder: Path):
    one = CASES["zeros"]
    paths = [*shared_folder.glob("photos/*.jpg"), *shared_folder.glob("cdn-files/*.jpg")]
    for path in paths:
        (tmp_path / path.name).write_bytes(written(one, path.read_bytes()))
    found = exiftool(tmp_path)
    assert found.keys() == {path.stem for path in paths}
    for tags in found.values():
        assert not [key for key in tags if key.endswith((":Warning", ":Error"))]
        assert tags["Composite:SubSecDateTimeOriginal"] == "2023:11:14 22:13:20.123+00:00"
        assert within_a_centimetre(tags["Composite:GPSLatitude"], one.latitude)
        assert tags["Composite:GPSAltitude"] == 0
        assert tags["GPS:GPSImgDirection"] == 0
        whole = tags["File:ImageWidth"] == 2 * tags["File:ImageHeight"]
        width = tags["File:ImageWidth"] if whole else None
        assert tags.get("XMP-GPano:FullPanoWidthPixels") == width


def keys_as_opensfm_sees(element: ET.Element, prefixes: dict[str, str]) -> dict[str, str]:
    """Return what xmltodict makes of an element: attributes have an `@` before their name."""

    def name(tag: str) -> str:
        namespace, _, local = tag[1:].partition("}")
        return f"{prefixes[namespace]}:{local}"

    attributes = {f"@{name(key)}": value for key, value in element.attrib.items()}
    return attributes | {name(child.tag): child.text or "" for child in element}


def test_opensfm_finds_the_projection():
    data = written(CASES["zeros"])
    # OpenSfM takes the packet out of the bytes' repr, and looks for these very prefixes.
    text = str(data)
    packet = text[text.find("<x:xmpmeta") : text.find("</x:xmpmeta") + 12]
    prefixes = {
        url: prefix for _, (prefix, url) in ET.iterparse(BytesIO(packet.encode()), ("start-ns",))
    }
    root = ET.fromstring(packet)
    assert [prefixes[tag[1:].partition("}")[0]] for tag in (root.tag, root[0].tag)] == ["x", "rdf"]
    for description in root[0]:
        found = keys_as_opensfm_sees(description, prefixes)
        if any("GPano" in key for key in found):
            assert found["GPano:ProjectionType"] == "equirectangular"
            assert found["GPano:FullPanoWidthPixels"] == "1024"
            return
    pytest.fail("no description has GPano")


def test_odm_takes_the_time_as_utc():
    one = CASES["zeros"]
    with Image.open(BytesIO(written(one))) as image:
        photo = image.getexif().get_ifd(0x8769)
    moment = datetime.strptime(photo[0x9003], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    # ODM: "123" are the digits behind the point.
    milliseconds = round(float(f"0.{int(photo[0x9290])}") * 1000)
    assert round(moment.timestamp()) * 1000 + milliseconds == one.captured_at


def test_jfif_stays_first():
    assert jpeg.parse(written(CASES["flat"])).segments[0].payload.startswith(b"JFIF")
