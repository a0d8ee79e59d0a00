"""Further pictures of a file: found where they are once metadata was written."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.image import exif, jpeg, mpf, xmp

ROW = {"geometry": {"coordinates": [13.4, 52.5]}, "camera_type": "spherical"}


def picture(colour: int) -> bytes:
    output = BytesIO()
    Image.new("RGB", (64, 32), (colour, 120, 30)).save(output, "JPEG")
    return output.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def listed(order: str, pictures: list[tuple[int, int]]) -> bytes:
    """Return the payload that lists pictures by length and offset."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}HHLL", 0xB001, 4, 1, len(pictures))
    entries += struct.pack(f"{order}HHLL", 0xB002, 7, 16 * len(pictures), 38)
    head = mark + struct.pack(f"{order}LH", 8, 2) + entries + bytes(4)
    rows = (struct.pack(f"{order}LLLHH", 0, *each, 0, 0) for each in pictures)
    return mpf.IDENTIFIER + head + b"".join(rows)


def several(order: str, before: bytes = b"", behind: bytes = b"") -> bytes:
    """Return a file of two pictures, with segments before and behind their list."""
    first, second = picture(0), picture(200)
    start, rest = first[:20] + before, behind + first[20:]
    payload = listed(order, [(0, 0), (0, 0)])
    length = len(start) + 4 + len(payload) + len(rest)
    offset = 4 + len(payload) + len(rest) - 4 - len(mpf.IDENTIFIER)
    payload = listed(order, [(length, 0), (len(second), offset)])
    return start + segment(0xE2, payload) + rest + second


def pictures(data: bytes) -> list[bytes]:
    """Return the pictures where the list says that they are."""
    at = data.index(mpf.IDENTIFIER) + len(mpf.IDENTIFIER)
    order = "<" if data[at : at + 2] == b"II" else ">"
    found = []
    for row in (38, 54):
        length, offset = struct.unpack_from(f"{order}LL", data, at + row + 4)
        start = at + offset if offset else 0
        found.append(data[start : start + length])
    return found


def written(data: bytes) -> bytes:
    data = exif.write(data, ROW, captured_at=0, username="ada").data
    return xmp.write(data, ROW, image_id="1", username="ada", captured_at=0).data


OLD = segment(0xE1, jpeg.XMP + b"<old/>" * 500)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("before", "behind"), [(b"", b""), (b"", OLD), (OLD, b""), (b"", segment(0xFE, b"note"))]
)
def test_pictures_are_found_where_the_list_says(order: str, before: bytes, behind: bytes):
    data = several(order, before, behind)
    assert pictures(data)[1] == picture(200)
    first, second = pictures(written(data))
    assert second == picture(200)
    assert written(data) == first + second
    assert Image.open(BytesIO(written(data))).n_frames == 2


def test_an_offset_that_is_no_picture_behind_the_scan_stays():
    payload = listed("<", [(10, 0), (10, 5)])
    assert mpf.moved(payload, to_scan=100, shift=7, growth=7) == listed("<", [(17, 0), (10, 5)])


def test_what_would_not_fit_stays():
    payload = listed(">", [(2**32 - 1, 0), (10, 2**32 - 1)])
    assert mpf.moved(payload, to_scan=100, shift=7, growth=7) == payload


@given(st.data())
def test_no_list_breaks_a_file(data: st.DataObject):
    payload = bytearray(listed(data.draw(st.sampled_from("<>")), [(400, 0), (10, 500)]))
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(4, len(payload) - 1), st.integers(0, 255)), max_size=8)
    ):
        payload[at] = value
    cut = bytes(payload[: data.draw(st.integers(4, len(payload)))])
    file = picture(0)[:20] + segment(0xE2, cut) + picture(0)[20:]
    found = jpeg.parse(written(file))
    (list_now,) = [each for each in found.segments if each.marker == 0xE2]
    assert len(list_now.payload) == len(cut)
    assert bytes(found.scan) == bytes(jpeg.parse(file).scan)
