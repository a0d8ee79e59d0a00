"""Reading EXIF blocks that anybody may have made."""

from __future__ import annotations

import struct

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.image import tiff

BLOCK = piexif.dump(
    {
        "0th": {271: b"Maker", 274: 6, 282: (72, 1)},
        "Exif": {36864: b"0232", 37380: (-1, 3), 37121: b"\1\2\3\0"},
        "GPS": {0: (2, 3, 0, 0), 2: ((1, 1), (2, 1), (3, 1000))},
        "Interop": {1: b"R98"},
    }
)[6:]


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHL", tag, kind, count) + value


def block(*entries: bytes, rest: bytes = b"") -> bytes:
    table = struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    return b"II*\0\x08\0\0\0" + table + rest


def test_reads_what_piexif_wrote():
    contents = tiff.read(BLOCK)
    assert contents.unsound == 0
    assert contents.directories == {
        "0th": {271: (2, b"Maker\0"), 274: (3, (6,)), 282: (5, (72, 1))},
        "Exif": {36864: (7, b"0232"), 37380: (10, (-1, 3)), 37121: (7, b"\1\2\3\0")},
        "GPS": {0: (1, (2, 3, 0, 0)), 2: (5, (1, 1, 2, 1, 3, 1000))},
        "Interop": {1: (2, b"R98\0")},
    }


def test_little_endian():
    assert tiff.read(block(entry(274, 3, 1, b"\x06\0\0\0"))).directories["0th"][274] == (3, (6,))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"II*\0", b"MM\0*\0\0\0\xff", b"II\0*\x08\0\0\0", b"no TIFF at all"),
        *(b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"),
    ],
)
def test_nothing_readable(data: bytes):
    with pytest.raises(tiff.TiffError):
        tiff.read(data)


@pytest.mark.parametrize(
    "bad",
    [
        entry(271, 2, 2**32 - 1, b"\0\0\0\0"),
        entry(271, 4, 2**30, b"\0\0\0\0"),
        entry(271, 2, 100, b"\xff\xff\xff\xff"),
        entry(271, 99, 1, b"\0\0\0\0"),
        entry(271, 2, 0, b"\0\0\0\0"),
        entry(274, 3, 1, b"\x01\0\0\0"),
        entry(0x8769, 4, 1, b"\xff\xff\xff\0"),
        entry(0x8769, 4, 1, b"\x08\0\0\0"),
        entry(0x8825, 2, 1, b"x\0\0\0"),
    ],
    ids=["huge", "wraps", "outside", "type", "empty", "twice", "pointer", "loop", "no-pointer"],
)
def test_bad_entries_are_left_out_and_the_rest_is_kept(bad: bytes):
    contents = tiff.read(block(entry(274, 3, 1, b"\x06\0\0\0"), bad))
    assert contents.directories == {"0th": {274: (3, (6,))}}
    assert contents.unsound == 1


def test_many_entries_on_the_same_bytes_do_not_multiply_them():
    entries = [entry(tag, 1, 60_000, b"\x08\0\0\0") for tag in range(5000)]
    contents = tiff.read(block(*entries))
    kept = sum(len(found.value) for found in contents.directories["0th"].values())
    assert kept <= len(block(*entries))


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=4)), max_size=6))
def test_damaged_blocks_raise_the_one_documented_error(changes: list[tuple[int, bytes]]):
    damaged = bytearray(BLOCK)
    for at, new in changes:
        damaged[at : at + len(new)] = new
    try:
        contents = tiff.read(bytes(damaged))
    except tiff.TiffError:
        return
    assert set(contents.directories) <= {"0th", "Exif", "GPS", "Interop", "1st"}


@pytest.mark.parametrize(
    ("stored", "kind", "expected"),
    [
        (tiff.Entry(2, b"text\0\0"), 2, b"text"),
        (tiff.Entry(7, b"text"), 2, b"text"),
        (tiff.Entry(2, b"0230"), 7, b"0230"),
        (tiff.Entry(1, (1, 2)), 7, b"\1\2"),
        (tiff.Entry(3, (6,)), 4, (6,)),
        (tiff.Entry(3, (6,)), 2, None),
        (tiff.Entry(2, b"6"), 3, None),
        (tiff.Entry(4, (70_000,)), 3, None),
        (tiff.Entry(9, (-1,)), 4, None),
        (tiff.Entry(5, (1, 2, 3, 4)), 5, (1, 2, 3, 4)),
        (tiff.Entry(10, (-1, 2)), 5, None),
        (tiff.Entry(3, (1, 2)), 5, None),
        (tiff.Entry(5, (1, 2)), 1, None),
        (tiff.Entry(3, (1,)), None, None),
        (tiff.Entry(3, (1,)), 12, None),
    ],
)
def test_entry_as_another_type(stored: tiff.Entry, kind: int | None, expected: object):
    entry = stored.of_type(kind)
    assert entry == (None if expected is None else (kind, expected))
