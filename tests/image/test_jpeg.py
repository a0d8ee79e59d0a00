"""Taking JPEGs apart and putting them together, hostile ones included."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.image import exif, jpeg, xmp
from mapillary_crawler.image.inspection import State, judge
from tests import shared_data


def picture(**options: object) -> bytes:
    output = BytesIO()
    Image.new("RGB", (48, 24), (90, 120, 30)).save(output, "JPEG", **options)
    return output.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def is_exif(found: jpeg.Segment) -> bool:
    return found.is_app1(jpeg.EXIF)


PLAIN = picture()
SCAN = PLAIN.index(b"\xff\xda")


def test_size_is_that_of_the_frame():
    parsed = jpeg.parse(PLAIN)
    assert (parsed.width, parsed.height) == (48, 24)


def test_progressive_frame():
    assert jpeg.parse(picture(progressive=True)).width == 48


def test_new_segment_goes_behind_jfif_and_nothing_else_changes():
    comment = segment(0xFE, b"kept")
    data = PLAIN[:20] + comment + PLAIN[20:] + b"bytes after the end marker"
    parsed = jpeg.parse(data)
    written = parsed.with_app1(jpeg.EXIF + b"\0x", instead_of=is_exif)
    assert written == data[:20] + segment(0xE1, jpeg.EXIF + b"\0x") + data[20:]


def test_segment_is_replaced_wherever_it_was_never_doubled():
    first, second = (segment(0xE1, jpeg.EXIF + b"\0" + text) for text in (b"one", b"two"))
    data = PLAIN[:2] + first + PLAIN[2:20] + segment(0xFE, b"note") + second + PLAIN[20:]
    written = jpeg.parse(data).with_app1(jpeg.EXIF + b"\0new", instead_of=is_exif)
    assert jpeg.parse(written).app1(jpeg.EXIF) == [b"\0new"]
    expected = segment(0xE1, jpeg.EXIF + b"\0new") + segment(0xFE, b"note")
    assert written == PLAIN[:20] + expected + PLAIN[20:]


def test_xmp_goes_behind_exif():
    with_exif = jpeg.parse(PLAIN).with_app1(jpeg.EXIF + b"\0e", instead_of=is_exif)
    written = jpeg.parse(with_exif).with_app1(
        jpeg.XMP + b"<x/>", instead_of=lambda s: s.is_app1(jpeg.XMP), after=(jpeg.EXIF,)
    )
    kinds = [found.payload[:4] for found in jpeg.parse(written).segments[:3]]
    assert kinds == [b"JFIF", b"Exif", b"http"]


def test_fill_bytes_before_a_marker_are_kept():
    data = PLAIN[:20] + b"\xff\xff\xff" + PLAIN[20:]
    written = jpeg.parse(data).with_app1(b"new", instead_of=is_exif)
    assert written == data[:20] + segment(0xE1, b"new") + data[20:]


STRAY = [
    b"\0",
    b"\0\xe1\0\x2a" + b"q" * 40,
    b"\xff\0\xff\0",
    b"q\xff\xff\0q",
    b"\xff\xe1\0\0",
    b"\xff\xfe\0\1stray",
    b"\xff\xd0\xff\xd7\xff\x01",
    b"\xff\xff\xff\xd3",
]


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("at", [2, 20, SCAN])
def test_stray_bytes_stay_and_metadata_goes_before_them_or_behind_jfif(stray: bytes, at: int):
    """A file that libjpeg reads gets metadata, and where another reader finds it."""
    data = PLAIN[:at] + stray + PLAIN[at:]
    # libjpeg passes over them; `Image.open` would have Pillow's own parser read the header.
    pixels = Image.frombytes("RGB", (48, 24), data, "jpeg", "RGB", "").tobytes()
    assert pixels == Image.open(BytesIO(PLAIN)).tobytes()
    place = 2 if at == 2 else 20
    new = jpeg.EXIF + b"\0new"
    written = jpeg.parse(data).with_app1(new, instead_of=is_exif)
    assert written == data[:place] + segment(0xE1, new) + data[place:]


def test_stray_bytes_stay_where_the_segment_behind_them_is_replaced():
    old = segment(0xE1, jpeg.EXIF + b"\0old")
    data = PLAIN[:20] + b"stray\xff\xff" + old + PLAIN[20:]
    new = jpeg.EXIF + b"\0new"
    written = jpeg.parse(data).with_app1(new, instead_of=is_exif)
    assert written == PLAIN[:20] + segment(0xE1, new) + b"stray" + PLAIN[20:]


@given(st.lists(st.sampled_from([*STRAY, b"\xff", b"\xff\xe4\0\4ab"]) | st.binary(max_size=6)))
def test_whatever_stands_between_segments_comes_back(parts: list[bytes]):
    between = b"".join(parts)
    data = PLAIN[:20] + between + PLAIN[20:]
    new = jpeg.EXIF + b"\0new"
    try:
        parsed = jpeg.parse(data)
    except jpeg.JpegError:
        return
    written = parsed.with_app1(new, instead_of=is_exif)
    assert written.replace(segment(0xE1, new), b"", 1) == data
    assert jpeg.parse(written).app1(jpeg.EXIF) == [b"\0new"]
    again = jpeg.parse(written).with_app1(new, instead_of=is_exif)
    assert again.count(segment(0xE1, new)) == 1


def test_longest_payload_fits_and_one_more_byte_does_not():
    parsed = jpeg.parse(PLAIN)
    longest = parsed.with_app1(b"x" * jpeg.MAX_PAYLOAD, instead_of=is_exif)
    Image.open(BytesIO(longest)).load()
    with pytest.raises(jpeg.JpegError, match="over 64 KB"):
        parsed.with_app1(b"x" * (jpeg.MAX_PAYLOAD + 1), instead_of=is_exif)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "not a JPEG"),
        (b"<html>", "not a JPEG"),
        (b"\xff\xd8", "header cut off"),
        (PLAIN[:SCAN], "header cut off"),
        (PLAIN[:11], "header cut off"),
        (PLAIN[:2] + b"\xff\xe0\x00", "header cut off"),
        (PLAIN[:2] + b"\xff\xdb\x00\x01" + PLAIN[2:], "header cut off"),
        (PLAIN[:2] + b"\xff\xd9" + PLAIN, "no scan after the header"),
        (PLAIN[:20] + b"\xff\x01" * 5000 + PLAIN[20:], "too many segments"),
        (PLAIN[:20] + b"\0" + b"\xff" * 5_000_000 + b"\0", "header cut off"),
        (PLAIN[:20] + b"\xff\xd9" + PLAIN[20:], "no scan after the header"),
        (PLAIN[:2] + PLAIN[SCAN:], "no frame header"),
        (PLAIN[:2] + segment(0xC0, b"\x08\0\0\0\x10") + PLAIN[SCAN:], "frame without a size"),
        (PLAIN[:2] + segment(0xFE, b"") * 5000 + PLAIN[2:], "too many segments"),
        (b"\xff\xd8" + b"\xff" * 5_000_000, "header cut off"),
    ],
)
def test_what_is_no_jpeg_says_why(data: bytes, cause: str):
    with pytest.raises(jpeg.JpegError, match=cause):
        jpeg.parse(data)


@given(st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=4)), max_size=4), st.data())
def test_damaged_headers_raise_the_one_documented_error_or_are_kept(
    changes: list[tuple[int, bytes]], data: st.DataObject
):
    damaged = bytearray(PLAIN)
    for at, new in changes:
        damaged[at : at + len(new)] = new
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        parsed = jpeg.parse(bytes(damaged))
    except jpeg.JpegError:
        return
    assert b"".join((b"\xff\xd8", *(s.raw for s in parsed.segments), parsed.scan)) == damaged


@pytest.mark.parametrize("path", shared_data.files("photos/*.jpg", "cdn-files/*.jpg"))
def test_real_files_come_back_byte_for_byte(path: Path):
    data = path.read_bytes()
    parsed = jpeg.parse(data)
    assert b"".join((b"\xff\xd8", *(s.raw for s in parsed.segments), parsed.scan)) == data
    with Image.open(path) as image:
        assert image.size == (parsed.width, parsed.height)


@pytest.mark.parametrize("more", range(3990, 4002))
def test_a_file_takes_all_metadata_or_none_and_is_whole_with_it(more: int):
    data = PLAIN[:20] + segment(0xFE, b"") * (more - len(jpeg.parse(PLAIN).segments)) + PLAIN[20:]
    assert judge(data).state is State.WHOLE
    try:
        data = exif.write(data, {}, captured_at=0, username="ada").data
    except jpeg.JpegError:
        assert more > 3998
        return
    assert more <= 3998
    data = xmp.write(data, {}, image_id="1", username="ada", captured_at=0).data
    assert judge(data).state is State.WHOLE
