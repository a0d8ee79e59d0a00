"""Writing EXIF blocks: what is written is read again, by our reader and by piexif's."""

from __future__ import annotations

import struct
from typing import Any

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.image import tiff, tiff_writer
from mapillary_crawler.image.tiff import Entry

_BITS = {1: (0, 8), 3: (0, 16), 4: (0, 32), 5: (0, 32), 9: (1, 32), 10: (1, 32)}
_POINTERS = {tag for _, tag in tiff.POINTERS}


def numbers(kind: int) -> st.SearchStrategy[tuple[int, ...]]:
    signed, bits = _BITS[kind]
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    each = st.lists(st.integers(low, high), min_size=1, max_size=6)
    if kind in tiff.RATIONALS:
        each = each.map(lambda values: values * 2)
    return each.map(tuple)


ENTRIES = st.one_of(
    st.binary(min_size=1, max_size=40).map(lambda data: Entry(tiff.UNDEFINED, data)),
    st.binary(max_size=40).map(lambda data: Entry(tiff.ASCII, data.replace(b"\0", b"."))),
    *(numbers(kind).map(lambda values, kind=kind: Entry(kind, values)) for kind in _BITS),
)
TAGS = st.integers(0, 65535).filter(
    lambda tag: tag not in _POINTERS | {tiff.THUMBNAIL_OFFSET, tiff.THUMBNAIL_LENGTH}
)
DIRECTORIES = st.dictionaries(
    st.sampled_from(tiff_writer.ORDER), st.dictionaries(TAGS, ENTRIES, max_size=8)
)


def as_read(directories: dict[str, dict[int, Entry]]) -> dict[str, dict[int, Entry]]:
    """Return what the reader gives: text with its closing zero, no empty directories."""
    return {
        name: {
            tag: Entry(kind, value + b"\0")
            if isinstance(value, bytes) and kind == tiff.ASCII
            else Entry(kind, value)
            for tag, (kind, value) in entries.items()
        }
        for name, entries in directories.items()
        if entries
    }


@given(DIRECTORIES, st.one_of(st.none(), st.binary(min_size=1, max_size=50)))
def test_what_is_written_is_read_again(
    directories: dict[str, dict[int, Entry]], thumbnail: bytes | None
):
    block = tiff_writer.write(directories, thumbnail)
    contents = tiff.read(block)
    expected = as_read(directories)
    if thumbnail is None:
        expected.pop("1st", None)
    assert contents.unsound == 0
    assert {name: each for name, each in contents.directories.items() if each} == expected
    assert contents.thumbnail == thumbnail


TAGS_OF_ALL_KINDS: dict[str, dict[int, Any]] = {
    "0th": {271: b"Maker", 274: 6, 282: (72, 1)},
    "Exif": {36864: b"0232", 37380: (-1, 3), 37121: b"\1\2\3\0", 40962: 70_000},
    "GPS": {0: (2, 3, 0, 0), 1: b"N", 2: ((1, 1), (2, 1), (3, 1000)), 5: 1},
    "Interop": {1: b"R98"},
    "1st": {259: 6},
}


def test_piexif_reads_the_same():
    entries = {
        "0th": {271: Entry(2, b"Maker"), 274: Entry(3, (6,)), 282: Entry(5, (72, 1))},
        "Exif": {
            36864: Entry(7, b"0232"),
            37380: Entry(10, (-1, 3)),
            37121: Entry(7, b"\1\2\3\0"),
            40962: Entry(4, (70_000,)),
        },
        "GPS": {
            0: Entry(1, (2, 3, 0, 0)),
            1: Entry(2, b"N"),
            2: Entry(5, (1, 1, 2, 1, 3, 1000)),
            5: Entry(1, (1,)),
        },
        "Interop": {1: Entry(2, b"R98")},
        "1st": {259: Entry(3, (6,))},
    }
    thumbnail = b"\xff\xd8\xff\xd9"
    loaded = piexif.load(b"Exif\0\0" + tiff_writer.write(entries, thumbnail))
    assert loaded.pop("thumbnail") == thumbnail
    pointers = {34665, 34853, 40965, 513, 514}
    found = {
        name: {tag: value for tag, value in tags.items() if tag not in pointers}
        for name, tags in loaded.items()
    }
    assert found == TAGS_OF_ALL_KINDS


def test_values_are_at_even_offsets_and_directories_end_with_a_pointer():
    block = tiff_writer.write({"0th": {271: Entry(2, b"even"), 272: Entry(2, b"model")}})
    assert block[8:10] == b"\0\2"
    offsets = [struct.unpack_from(">L", block, 10 + 12 * n + 8)[0] for n in range(2)]
    assert offsets == [38, 44]
    assert block[34:38] == bytes(4)
    assert block[38:] == b"even\0\0model\0"


def test_numbers_beyond_their_type_are_refused():
    with pytest.raises(struct.error):
        tiff_writer.write({"0th": {274: Entry(3, (70_000,))}})
