"""EXIF blocks: what is known replaces what the file has, the rest stays.

Read back with Pillow, which shares no code with piexif.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import piexif
import pytest
from PIL import Image

from mapillary_crawler.image import exif, jpeg
from tests import shared_data

CAPTURED_AT = 1_700_000_000_123
BERLIN = {"coordinates": [13.4, 52.5]}


def picture(size: tuple[int, int] = (64, 32), **options: Any) -> bytes:
    output = BytesIO()
    Image.new("RGB", size, (90, 120, 30)).save(output, "JPEG", **options)
    return output.getvalue()


def with_exif(tags: dict[str, Any] | bytes) -> bytes:
    return picture(exif=tags if isinstance(tags, bytes) else piexif.dump(tags))


def write(
    data: bytes, metadata: dict[str, Any], captured_at: int | None = CAPTURED_AT
) -> jpeg.Written:
    written = exif.write(data, metadata, captured_at=captured_at, username="ada")
    assert jpeg.parse(written.data).scan == jpeg.parse(data).scan
    return written


def read(data: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    with Image.open(BytesIO(data)) as image:
        tags = image.getexif()
        return dict(tags), tags.get_ifd(0x8769), tags.get_ifd(0x8825)


def seconds(rationals: tuple[Any, Any, Any]) -> float:
    degrees, minutes, rest = map(float, rationals)
    assert minutes < 60
    assert rest < 60
    return degrees * 3600 + minutes * 60 + rest


def test_time_is_utc_wherever_readers_look():
    main, photo, gps = read(write(picture(), {}).data)
    stamp = "2023:11:14 22:13:20"
    assert (main[0x132], photo[0x9003], photo[0x9004]) == (stamp, stamp, stamp)
    assert [photo[tag] for tag in (0x9010, 0x9011, 0x9012)] == ["+00:00"] * 3
    assert [photo[tag] for tag in (0x9290, 0x9291, 0x9292)] == ["123"] * 3
    assert gps[29] == "2023:11:14"
    assert tuple(map(float, gps[7])) == (22, 13, 20.123)


@pytest.mark.parametrize(
    ("captured_at", "stamp", "fraction"),
    [
        (0, "1970:01:01 00:00:00", "000"),
        (5, "1970:01:01 00:00:00", "005"),
        (951_782_400_000, "2000:02:29 00:00:00", "000"),
        (8_583_753_599_999, "2242:01:03 23:59:59", "999"),
    ],
)
def test_first_and_last_times(captured_at: int, stamp: str, fraction: str):
    _, photo, _ = read(write(picture(), {}, captured_at).data)
    assert (photo[0x9003], photo[0x9291]) == (stamp, fraction)


def test_unknown_time_is_left_out_and_the_own_one_stays():
    main, photo, gps = read(write(picture(), {}, None).data)
    assert not {0x132} & main.keys()
    assert photo.keys() == {0x9000}
    assert gps == {}
    own = with_exif({"Exif": {0x9003: b"2018:06:08 13:24:10", 0x9011: b"-07:00"}})
    _, photo, _ = read(write(own, {}, None).data)
    assert (photo[0x9003], photo[0x9011]) == ("2018:06:08 13:24:10", "-07:00")


@pytest.mark.parametrize(
    "degrees",
    [
        *(0, -0.0, 1e-12, -1e-12, 89.9999999999, -33.85678, 48.777089857534, 90, -90),
        # 59.9999996" must not become 60".
        *(52 + 59 / 60 + 59.9999996 / 3600, 52 + 59 / 60 + 59.99999999 / 3600, 0.999999999999),
    ],
)
def test_position_within_a_millimetre(degrees: float):
    metadata = {"geometry": {"coordinates": [degrees * 2, degrees]}}
    _, _, gps = read(write(picture(), metadata).data)
    for ref, value, expected, names in ((1, 2, degrees, "NS"), (3, 4, degrees * 2, "EW")):
        sign = 1 if gps[ref] == names[0] else -1
        assert gps[ref] in names
        assert abs(sign * seconds(gps[value]) / 3600 - expected) * 111_320 < 0.001
        assert sign == 1 or seconds(gps[value]) > 0
    assert gps[18] == "WGS-84"
    assert gps[0] == b"\2\3\0\0"


@pytest.mark.parametrize(
    ("altitude", "metres", "below"),
    [(0, 0, 0), (0.0, 0, 0), (-12.4, 12.4, 1), (-0.0001, 0, 0), (4294967281, 15, 1)],
)
def test_altitude(altitude: float, metres: float, below: int):
    _, _, gps = read(write(picture(), {"altitude": altitude, "computed_altitude": 55.5}).data)
    assert (float(gps[6]), gps[5][0]) == (metres, below)


def test_computed_altitude_is_not_written():
    _, _, gps = read(write(picture(), {"computed_altitude": 55.5}).data)
    assert not {5, 6} & gps.keys()


def test_heading_zero_is_north():
    metadata = {"computed_compass_angle": 0.0, "compass_angle": 123}
    _, _, gps = read(write(picture(), metadata).data)
    assert (float(gps[17]), gps[16]) == (0, "T")


def test_focal_length_on_film_is_that_of_the_camera_as_computed():
    metadata = {"camera_type": "perspective", "camera_parameters": [0.826, 0, 0]}
    own = {"Exif": {piexif.ExifIFD.FocalLength: (6, 1), piexif.ExifIFD.FocalLengthIn35mmFilm: 26}}
    _, photo, _ = read(write(with_exif(own), metadata).data)
    assert (photo[0x920A], photo[0xA405]) == (6, 30)
    _, photo, _ = read(write(picture(), metadata).data)
    assert photo[0xA405] == 30
    assert 0x920A not in photo  # needs the sensor's size
    _, photo, _ = read(write(with_exif(own), {**metadata, "camera_type": "fisheye"}).data)
    assert photo[0xA405] == 26
    _, photo, _ = read(write(picture(), {}).data)
    assert 0xA405 not in photo


def test_names_survive_as_utf8():
    metadata = {"make": "Citroën\0", "model": "日本 \U0001f4f7"}
    data = exif.write(picture(), metadata, captured_at=None, username="josé").data
    tags = piexif.load(data)["0th"]
    assert [tags[tag].decode() for tag in (271, 272, 315, 33432)] == [
        *("Citroën", "日本 \U0001f4f7", "@josé", "@josé, Mapillary, CC BY-SA 4.0")
    ]


def test_enormous_names_do_not_lose_the_image():
    metadata = {"make": "x" * 100_000, "model": "\U0001f4f7" * 100_000}
    data = exif.write(picture(), metadata, captured_at=0, username="y" * 100_000).data
    main, _, _ = read(data)
    assert main[271] == "x" * 200


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_stays_as_the_file_has_it(orientation: int):
    data = with_exif({"0th": {274: orientation}})
    main, _, _ = read(write(data, {"exif_orientation": 5}).data)
    assert main[274] == orientation


def test_no_orientation_and_no_image_size_are_made_up():
    main, photo, _ = read(write(picture(), {"exif_orientation": 6, "width": 5760}).data)
    assert not {256, 257, 274} & main.keys()
    assert not {0xA002, 0xA003} & photo.keys()


def test_existing_tags_stay_unless_they_contradict():
    data = with_exif(
        {
            "0th": {256: 5760, 257: 2880, 271: b"Old", 272: b"Model", 305: b"Soft", 33432: b"mine"},
            "Exif": {33434: (1, 500), 0x9003: b"2018:06:08 13:24:10", 0xA002: 5760, 0xA003: 32},
            "GPS": {1: b"S", 2: ((1, 1), (2, 1), (3, 1)), 6: (7, 1), 11: (2, 1), 15: (90, 1)},
        }
    )
    written = write(data, {"make": "New", "computed_geometry": BERLIN})
    assert written.troubles == ()
    main, photo, gps = read(written.data)
    assert (main[271], main[272], main[305]) == ("New", "Model", "Soft")
    assert main[33432] == "@ada, Mapillary, CC BY-SA 4.0"
    assert not {256, 257} & main.keys()
    assert (float(photo[33434]), photo[0x9003]) == (0.002, "2023:11:14 22:13:20")
    # The width is another file's, the height is this one's.
    assert 0xA002 not in photo
    assert photo[0xA003] == 32
    # The receiver's precision says nothing about a computed position.
    assert (gps[1], seconds(gps[2]), float(gps[6]), float(gps[15])) == ("N", 52.5 * 3600, 7, 90)
    assert 11 not in gps


def test_existing_position_stays_if_mapillary_has_none():
    own = {1: b"S", 2: ((1, 1), (2, 1), (3, 1)), 3: b"W", 4: ((1, 1), (2, 1), (3, 1)), 11: (2, 1)}
    _, _, gps = read(write(with_exif({"GPS": own}), {"geometry": None}).data)
    assert (gps[1], seconds(gps[2]), float(gps[11])) == ("S", 3723, 2)


def test_raw_position_keeps_the_precision_of_the_fix():
    _, _, gps = read(write(with_exif({"GPS": {11: (2, 1)}}), {"geometry": BERLIN}).data)
    assert float(gps[11]) == 2


def test_thumbnail_is_kept():
    small = picture((16, 8))
    data = with_exif({"0th": {274: 6}, "1st": {259: 6, 271: b"Old"}, "thumbnail": small})
    written = write(data, {})
    assert written.troubles == ()
    tags = piexif.load(written.data)
    assert Image.open(BytesIO(tags["thumbnail"])).size == (16, 8)
    assert tags["1st"].keys() == {259, 513, 514}


def test_broken_thumbnail_is_left_out():
    data = with_exif({"0th": {274: 6}, "1st": {}, "thumbnail": picture((16, 8))})
    broken = data.replace(b"\xff\xdb\0\x43", b"\xff\xd9\0\x43", 1)
    written = write(broken, {})
    assert written.troubles == (exif.THUMBNAIL_LEFT_OUT,)
    assert piexif.load(written.data)["0th"][274] == 6


def test_block_that_grows_too_long_loses_thumbnail_then_note_then_all():
    small = picture((16, 8))
    thumbnail = small[:-2] + b"\0" * 50_000 + small[-2:]
    note = b"Apple iOS\0" + b"\0" * 14_600
    main = {274: 6, 305: b"s" * 100}
    written = write(
        with_exif({"0th": main, "Exif": {37500: note}, "1st": {}, "thumbnail": thumbnail}), {}
    )
    assert written.troubles == (exif.THUMBNAIL_LEFT_OUT,)
    assert piexif.load(written.data)["Exif"][37500] == note

    note = b"Apple iOS\0" + b"\0" * 65_100
    written = write(with_exif({"0th": main, "Exif": {37500: note}}), {})
    assert written.troubles == (exif.NOTE_LEFT_OUT,)
    assert piexif.load(written.data)["0th"][305] == b"s" * 100

    written = write(with_exif({"0th": {274: 6, 305: b"s" * 65_300}}), {})
    assert written.troubles == (exif.TOO_LONG,)
    assert 0x9003 in read(written.data)[1]


def test_note_with_offsets_from_the_tiff_header_is_left_out():
    written = write(with_exif({"Exif": {37500: b"SONY DSC \0\0\0" + b"\0" * 50}}), {})
    assert written.troubles == (exif.NOTE_LEFT_OUT,)


@pytest.mark.parametrize(
    "block",
    [
        *(b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0rubbish", b"Exif\0"),
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_unreadable_block_is_replaced(block: bytes):
    data = jpeg.parse(picture()).with_app1(block, instead_of=lambda _: False)
    written = write(data, {"geometry": BERLIN})
    assert written.troubles == (exif.UNREADABLE,)
    assert jpeg.parse(written.data).app1(jpeg.EXIF)[0][:3] == b"\0MM"


def test_entry_of_a_wrong_type_is_left_out():
    entries = (struct.pack("<HHLL", 274, 3, 1, 6), struct.pack("<HHLL", 305, 3, 1, 123))
    block = b"II*\0\x08\0\0\0\x02\0" + b"".join(entries) + b"\0\0\0\0"
    data = jpeg.parse(picture()).with_app1(b"Exif\0\0" + block, instead_of=lambda _: False)
    written = write(data, {})
    assert written.troubles == (exif.ENTRIES_LEFT_OUT,)
    main, _, _ = read(written.data)
    assert main[274] == 6
    assert 305 not in main


def test_writing_twice_changes_nothing():
    metadata = {"make": "M", "computed_geometry": BERLIN, "altitude": 3}
    once = write(picture(), metadata).data
    assert write(once, metadata) == (once, ())


@pytest.mark.parametrize("path", shared_data.files("photos/*.jpg"))
def test_photographs_keep_what_does_not_contradict(path: Path):
    before = read(path.read_bytes())
    written = write(path.read_bytes(), {"computed_geometry": BERLIN, "altitude": 3})
    after = read(written.data)
    assert seconds(after[2][2]) == 52.5 * 3600
    assert after[1][0x9003] == "2023:11:14 22:13:20"
    assert before[0].get(274) == after[0].get(274)
    if not written.troubles:
        lost = before[1].keys() - after[1].keys() - {0xA002, 0xA003, 0xA005}
        assert lost == set()
    assert (not written.troubles) == (path.name not in TROUBLED)


TROUBLED = {
    "dsc00001.jpg",  # a MakerNote of Sony, and InteropVersion
    "odd-corrupt_exif.jpg",
    "odd-corrupt_exif_trusted_wrong_type.jpg",
    "odd-corrupt_exif_wrong_type.jpg",
}


def with_blocks(*blocks: bytes) -> bytes:
    data = picture()
    for block in reversed(blocks):
        payload = block if block.startswith(jpeg.EXIF) else jpeg.EXIF + b"\0" + block
        data = jpeg.parse(data).with_app1(payload, instead_of=lambda _: False)
    return data


SMALL = piexif.dump({"0th": {0x112: 6, 0x10F: b"first", 0x131: b"firmware"}})
LARGE = piexif.dump(
    {
        "0th": {0x10F: b"second"},
        "Exif": {0x829A: (1, 250), 0xA434: b"24mm", 0x9286: b"ASCII\0\0\0x"},
    }
)


@pytest.mark.parametrize("blocks", [(SMALL, LARGE), (LARGE, SMALL)])
def test_several_blocks_are_merged_the_later_over_the_earlier(blocks: tuple[bytes, bytes]):
    """Readers take the first, the last or all of them."""
    written = write(with_blocks(*blocks), {})
    assert written.troubles == (exif.SEVERAL,)
    main, photo, _ = read(written.data)
    assert main[0x10F] == ("second" if blocks[1] is LARGE else "first")
    assert (main[0x112], main[0x131]) == (6, "firmware")
    assert (float(photo[0x829A]), photo[0xA434], photo[0x9286]) == (0.004, "24mm", b"ASCII\0\0\0x")
    assert len(jpeg.parse(written.data).app1(jpeg.EXIF)) == 1
    assert write(written.data, {}) == (written.data, ())


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_does_not_replace_one(orientation: int):
    later = piexif.dump({"0th": {0x112: orientation}})
    assert read(write(with_blocks(SMALL, later), {}).data)[0][0x112] == 6


@pytest.mark.parametrize("blocks", [(b"more of the first", SMALL), (SMALL, b"II*\0")])
def test_one_of_several_blocks_that_cannot_be_read_is_named(blocks: tuple[bytes, bytes]):
    written = write(with_blocks(*blocks), {})
    assert written.troubles == (exif.UNREADABLE, exif.SEVERAL)
    assert read(written.data)[0][0x131] == "firmware"


def test_the_thumbnail_of_one_block_keeps_what_it_needs():
    thumbnail = picture((16, 8))
    tags = {"1st": {0x112: 6, 0x11A: (72, 1)}, "thumbnail": thumbnail}
    block = piexif.dump({"0th": {}, **tags})
    for blocks in ((block, LARGE), (LARGE, block), (piexif.dump({"0th": {}}), block)):
        found = piexif.load(write(with_blocks(*blocks), {}).data)
        assert found["thumbnail"] == piexif.load(block)["thumbnail"]
        assert found["1st"][0x112] == 6


@pytest.mark.parametrize("hours", [(9,), (9, 9), (0,)])
def test_a_time_zone_beside_our_time_in_utc_is_removed(hours: tuple[int, ...]):
    own = with_exif({"0th": {0x882A: hours[0] if len(hours) == 1 else hours}})
    assert 0x882A not in read(write(own, {}).data)[0]
    assert 0x882A in read(write(own, {}, None).data)[0]
