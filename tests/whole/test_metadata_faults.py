"""Files whose metadata went wrong, served byte for byte: what the real command makes of each."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests import shared_data
from tests.crawling import Crawling, images, manifest

FAULTS = shared_data.FOLDER / "faults"
USER = {"username": "eve", "images": 60, "panoramas": 0.4}
NAME = "mapillary-eve-original"

pytestmark = pytest.mark.xdist_group("metadata_faults")

Tags = dict[str, Any]
Stored = tuple[dict[str, Any], bytes, Tags]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Stored]]:
    """Return by file what was stored of it: the row, the bytes, and what exiftool says."""
    if not FAULTS.is_dir():
        pytest.skip("no faults in ../shared/data")
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    photos, store = (tmp_path_factory.mktemp(name) for name in ("photos", "store"))
    for pattern in ("a*.jpg", "b*.jpg", "c*.jpg"):
        for path in FAULTS.glob(pattern):
            shutil.copy(path, photos)
    odd = (FAULTS / "a10-pixel-00e1.jpg").read_bytes()
    # Stray bytes that a reader stops at, and more segments than are taken apart.
    (photos / "length-0.jpg").write_bytes(odd[:20] + b"\xff\xe1\0\0" + odd[20:])
    (photos / "no-place.jpg").write_bytes(odd[:20] + b"\xff\xfe\0\2" * 4050 + odd[20:])
    with Sandbox.running([USER], seed=5, photos=photos) as sandbox:
        crawling = Crawling(store, sandbox)
        result = crawling.run(username="eve", check_ia=0, tar=0)
        assert result.code == 0, result.output
        listed = {image.image_id: image for image in sandbox.catalogue.user("eve").images()}
    assert crawling.scrapy("verify", str(store / NAME)).code == 0
    answer = subprocess.run(
        ["exiftool", "-j", "-n", "-G1", "-b", "-r", "-ext", "jpg", str(store / NAME)],
        capture_output=True,
        check=True,
    )
    tags = {Path(found["SourceFile"]).stem: found for found in json.loads(answer.stdout)}
    found: dict[str, list[Stored]] = {}
    for path, body in images(store / NAME).items():
        image = listed[Path(path).stem]
        name = image.photograph.name
        found.setdefault(name, []).append((image.metadata(), body, tags[Path(path).stem]))
    assert set(found) == {path.name for path in photos.iterdir()}
    bare = {row["id"]: row["reason"] for row in manifest(store / NAME / "bare.jsonl")}
    without = {row["id"] for row, _, _ in found["no-place.jpg"]}
    assert bare == dict.fromkeys(without, "no-place-for-metadata")
    return found


def cropped(row: dict[str, Any], body: bytes, tags: Tags) -> None:
    """Rows say that it is a panorama; its own fields say which part of one, and stay."""
    sizes = {name: tags[f"XMP-GPano:{name}"] for name in CROP}
    assert sizes == CROP
    assert tags["XMP-GPano:ProjectionType"] == "equirectangular"
    heading = row.get("computed_compass_angle", row.get("compass_angle"))
    assert tags["XMP-GPano:PoseHeadingDegrees"] == pytest.approx(heading, abs=1e-5)


CROP = {
    "FullPanoWidthPixels": 600,
    "FullPanoHeightPixels": 300,
    "CroppedAreaImageWidthPixels": 400,
    "CroppedAreaImageHeightPixels": 100,
    "CroppedAreaLeftPixels": 100,
    "CroppedAreaTopPixels": 110,
}


def merged(row: dict[str, Any], body: bytes, tags: Tags) -> None:
    """Nothing of either EXIF segment is lost."""
    assert tags["IFD0:Orientation"] == 1
    assert tags["ExifIFD:ExposureTime"] == 0.004
    assert tags["ExifIFD:LensModel"] == "Lens 24mm"
    assert tags["ExifIFD:UserComment"] == "hello from the road"
    assert body.count(b"Exif\0\0") == 1


def stray(row: dict[str, Any], body: bytes, tags: Tags) -> None:
    """Metadata is written, and the stray bytes stay."""
    assert b"\0\xe1\0\x2a" + b"q" * 40 in body


def once(row: dict[str, Any], body: bytes, tags: Tags) -> None:
    """Of a property that is there twice one is kept: exiv2 reads nothing otherwise."""
    assert tags["XMP-xmp:CreatorTool"] == "Stitcher 2"
    assert body.count(b"<xmp:CreatorTool>") + body.count(b"xmp:CreatorTool=") == 1
    assert body.count(b"<GPano:CaptureSoftware>") == 1


def second_picture(row: dict[str, Any], body: bytes, tags: Tags) -> None:
    """The second picture is where the list says; so is the end of the first."""
    start, length = tags["MPImage2:MPImageStart"], tags["MPImage2:MPImageLength"]
    original = (FAULTS / "a02-mpo-mpf-before-xmp.jpg").read_bytes()
    assert body[start : start + length] == original[-1902:]
    assert start + length == len(body)
    assert b"an old source text" not in body


def in_utc(row: dict[str, Any], body: bytes, tags: Tags) -> None:
    """No hours beside a time in UTC."""
    if row.get("captured_at") is not None:
        assert "IFD0:TimeZoneOffset" not in tags
        assert tags["ExifIFD:OffsetTimeOriginal"] == "+00:00"


RIGHT: dict[str, Callable[[dict[str, Any], bytes, Tags], None]] = {
    "a02-mpo-mpf-before-xmp.jpg": second_picture,
    "a10-pixel-00e1.jpg": stray,
    "a15-two-exif-small-first.jpg": merged,
    "b01-pano-xmp-duplicate-property.jpg": once,
    "b03-cropped-pano-with-gpano.jpg": cropped,
    "c23-time-zone-offset-ifd0.jpg": in_utc,
    "length-0.jpg": stray,
}


@pytest.mark.parametrize("name", RIGHT)
def test_each_has_the_right_metadata(stored: dict[str, list[Stored]], name: str) -> None:
    assert stored[name]
    for row, body, tags in stored[name]:
        assert str(tags["XMP-mapillary:ImageID"]) == row["id"]  # exiftool takes it for a number
        place = row.get("computed_geometry", row.get("geometry"))["coordinates"]
        assert tags["Composite:GPSLongitude"] == pytest.approx(place[0], abs=1e-7)
        assert "CC BY-SA 4.0" in tags["IFD0:Copyright"]
        RIGHT[name](row, body, tags)


def test_what_has_no_place_is_as_it_was_served(stored: dict[str, list[Stored]]) -> None:
    for row, body, tags in stored["no-place.jpg"]:
        assert "XMP-mapillary:ImageID" not in tags
        assert body.count(b"\xff\xfe\0\2") == 4050
        assert row["id"].encode() in body
