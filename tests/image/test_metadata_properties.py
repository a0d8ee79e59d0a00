"""Whatever the fields of an image hold, the file is readable and says what they say.

Read back with Pillow and the standard library, which share no code with the writer.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.image import exif, jpeg, xmp

LAST = 8_583_753_600_000


def picture(size: tuple[int, int], **options: Any) -> bytes:
    output = BytesIO()
    Image.new("RGB", size, (90, 120, 30)).save(output, "JPEG", **options)
    return output.getvalue()


PICTURES = {size: picture(size, progressive=size[0] == 64) for size in ((64, 32), (40, 30))}

rubbish = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(2**63), 2**32, 2**32 - 1, 4294967281])
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(codec=None), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "coordinates", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
angle = st.floats(0, 360) | st.floats(-720, 720) | rubbish
point = (
    st.builds(
        lambda longitude, latitude: {"type": "Point", "coordinates": [longitude, latitude]},
        st.floats(-180, 180) | rubbish,
        st.floats(-90, 90) | rubbish,
    )
    | rubbish
)
name = st.text(st.characters(codec=None), max_size=300) | rubbish
rows = st.fixed_dictionaries(
    {},
    optional={
        "geometry": point,
        "computed_geometry": point,
        "altitude": st.floats(-500, 9000) | st.integers(2**32 - 500, 2**32 - 1) | rubbish,
        "computed_altitude": rubbish,
        "compass_angle": angle | st.just(-1),
        "computed_compass_angle": angle,
        "camera_type": st.sampled_from(["spherical", "equirectangular", "perspective"]) | rubbish,
        "is_pano": rubbish,
        "make": name,
        "model": name,
        "sequence": name,
        "exif_orientation": rubbish,
        "width": rubbish,
        "height": rubbish,
        "captured_at": rubbish,
    },
)


def number(value: Any, lowest: float, highest: float) -> float | None:
    if type(value) not in (int, float) or not lowest <= value <= highest:
        return None
    return float(value)


def coordinates(row: dict[str, Any], field: str) -> tuple[float, float] | None:
    try:
        longitude, latitude = row[field]["coordinates"][:2]
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    longitude, latitude = number(longitude, -180, 180), number(latitude, -90, 90)
    return None if longitude is None or latitude is None else (longitude, latitude)


def degrees(gps: dict[int, Any], tag: int, negative: str) -> float:
    whole, minutes, seconds = map(float, gps[tag])
    assert minutes < 60
    assert seconds < 60
    value = whole + minutes / 60 + seconds / 3600
    return -value if gps[tag - 1] == negative else value


def check_place(gps: dict[int, Any], row: dict[str, Any]) -> str | None:
    """Compare position, altitude and direction; return which geometry it must have been."""
    computed, raw = coordinates(row, "computed_geometry"), coordinates(row, "geometry")
    place = computed or raw
    if place is None:
        assert not {1, 2, 3, 4} & gps.keys()
    else:
        assert math.isclose(degrees(gps, 4, "W"), place[0], abs_tol=1e-10)
        assert math.isclose(degrees(gps, 2, "S"), place[1], abs_tol=1e-10)
    height = number(row.get("altitude"), -12_000, 2**32 - 1)
    if height is not None and height >= 2**32 - 12_000:
        height -= 2**32
    if height is None or height > 100_000:
        assert not {5, 6} & gps.keys()
    else:
        sign = -1 if gps[5] == b"\1" else 1
        assert math.isclose(sign * float(gps[6]), height, abs_tol=0.000_51)
    heading = number(row.get("computed_compass_angle"), -1e6, 1e6)
    if heading is None and row.get("compass_angle") != -1:
        heading = number(row.get("compass_angle"), -1e6, 1e6)
    if heading is None:
        assert not {16, 17} & gps.keys()
    else:
        written = float(gps[17])
        assert 0 <= written < 360
        assert math.isclose(math.cos(math.radians(written - heading)), 1, abs_tol=1e-9)
    return "computed" if computed else "raw" if raw else None


@given(
    row=rows,
    captured_at=st.none() | st.integers(0, LAST),
    size=st.sampled_from(sorted(PICTURES)),
    username=st.text(st.characters(codec=None), min_size=1, max_size=80),
)
def test_any_row(
    row: dict[str, Any], captured_at: int | None, size: tuple[int, int], username: str
):
    served = PICTURES[size]
    data = exif.write(served, row, captured_at=captured_at, username=username).data
    data = xmp.write(data, row, image_id="17", username=username, captured_at=captured_at).data

    assert jpeg.parse(data).scan == jpeg.parse(served).scan
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.size == size
        tags = image.getexif()
        photo, gps = tags.get_ifd(0x8769), tags.get_ifd(0x8825)
    geometry = check_place(gps, row)
    if captured_at is None:
        assert 0x9003 not in photo
        assert 7 not in gps
    else:
        stamp = f"{photo[0x9003]}.{photo[0x9291]}{photo[0x9011]}"
        moment = datetime.strptime(stamp, "%Y:%m:%d %H:%M:%S.%f%z")
        assert round(moment.timestamp() * 1000) == captured_at
        hours, minutes, seconds = map(float, gps[7])
        day = datetime.strptime(gps[29], "%Y:%m:%d").replace(tzinfo=UTC).timestamp()
        clock = day + hours * 3600 + minutes * 60 + seconds
        assert round(clock * 1000) == captured_at

    (packet,) = jpeg.parse(data).app1(jpeg.XMP)
    found = {
        child.tag.partition("}")[2]: "".join(child.itertext())
        for child in ET.fromstring(packet)[0][0]
    }
    assert found.get("Geometry") == geometry
    assert found["ImageID"] == "17"
    if row.get("camera_type") in ("spherical", "equirectangular") and size == (64, 32):
        assert (found["FullPanoWidthPixels"], found["FullPanoHeightPixels"]) == (
            *(str(size[0]), str(size[1])),
        )
    elif row.get("camera_type") == "perspective" or size == (40, 30):
        assert "ProjectionType" not in found


@given(
    blocks=st.lists(
        st.binary(max_size=60).map(lambda rest: jpeg.EXIF + b"\0" + rest)
        | st.binary(max_size=60).map(lambda rest: b"Exif\0\0II*\0\x08\0\0\0" + rest)
        | st.text(max_size=60).map(lambda rest: jpeg.XMP + rest.encode())
        | st.binary(max_size=60).map(lambda rest: jpeg.XMP_EXTENSION + rest),
        max_size=3,
    ),
    row=rows,
)
def test_any_metadata_segments_of_the_file(blocks: list[bytes], row: dict[str, Any]):
    served = PICTURES[64, 32]
    for block in blocks:
        served = jpeg.parse(served).with_app1(block, instead_of=lambda _: False)
    data = exif.write(served, row, captured_at=0, username="ada").data
    data = xmp.write(data, row, image_id="17", username="ada", captured_at=0).data
    assert jpeg.parse(data).scan == jpeg.parse(served).scan
    assert len(jpeg.parse(data).app1(jpeg.EXIF)) == 1
    assert len(jpeg.parse(data).app1(jpeg.XMP)) == 1


@pytest.mark.parametrize("captured_at", [0, 1_700_000_000_123, 1_720_000_000_000])
def test_the_time_zone_of_the_machine_changes_no_byte(
    captured_at: int, monkeypatch: pytest.MonkeyPatch
):
    row = {"camera_type": "spherical", "geometry": {"coordinates": [139.7, 35.7]}}
    written = set()
    try:
        for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            data = exif.write(PICTURES[64, 32], row, captured_at=captured_at, username="ada").data
            written.add(
                xmp.write(data, row, image_id="1", username="ada", captured_at=captured_at).data
            )
    finally:
        monkeypatch.undo()
        time.tzset()
    assert len(written) == 1
