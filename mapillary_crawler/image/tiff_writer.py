"""Writes the TIFF structure of an EXIF block.

Pure, the counterpart of `tiff`: big-endian, directories with their pointer to a following one,
values at even offsets (TIFF 6.0, section 2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mapillary_crawler.image.tiff import (
    ASCII,
    LONG,
    NUMBERS,
    POINTERS,
    RATIONALS,
    THUMBNAIL_LENGTH,
    THUMBNAIL_OFFSET,
    Entry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Directories in the order in which they are written.
ORDER = ("0th", "Exif", "GPS", "Interop", "1st")

_HEADER = b"MM\0*\0\0\0\x08"
_SHORT, _LONG = struct.Struct(">H"), struct.Struct(">L")
#: Tag, type, number of values, and the offset of the value; or, up to four bytes, the value.
_ENTRY, _ENTRY_WITH_VALUE = struct.Struct(">HHLL"), struct.Struct(">HHL4s")
_INSIDE = 4
#: Bytes of a directory without its entries: their number, and the pointer to a following one.
_FRAME = 6
#: A pointer or length that is not known yet.
_UNKNOWN = Entry(LONG, (0,))


def write(directories: Mapping[str, Mapping[int, Entry]], thumbnail: bytes | None = None) -> bytes:
    """Return the block, TIFF header first; without a thumbnail there is no directory `1st`.

    Numbers must be within their type (`Entry.of_type`); raises struct.error if not.
    """
    tables = {name: dict(directories.get(name, {})) for name in ORDER}
    if thumbnail is None:
        tables["1st"] = {}
    else:
        tables["1st"][THUMBNAIL_OFFSET] = _UNKNOWN
        tables["1st"][THUMBNAIL_LENGTH] = Entry(LONG, (len(thumbnail),))
    # Innermost first: a directory that holds a pointer only must be there, too.
    for (parent, tag), name in reversed(POINTERS.items()):
        if tables[name]:
            tables[parent][tag] = _UNKNOWN
    block, places = bytearray(_HEADER), {}
    for name, table in tables.items():
        if table or name == "0th":
            places[name] = len(block)
            _append(block, table)
    for (parent, tag), name in POINTERS.items():
        if name in places:
            _LONG.pack_into(block, _place(places[parent], tables[parent], tag), places[name])
    if thumbnail is not None:
        following = places["0th"] + _SHORT.size + _ENTRY.size * len(tables["0th"])
        _LONG.pack_into(block, following, places["1st"])
        place = _place(places["1st"], tables["1st"], THUMBNAIL_OFFSET)
        _LONG.pack_into(block, place, len(block))
        block += thumbnail
    return bytes(block)


def _place(start: int, table: Mapping[int, Entry], tag: int) -> int:
    """Return where the value of an entry stands in the directory that begins at `start`."""
    return start + _SHORT.size + _ENTRY.size * sorted(table).index(tag) + _ENTRY.size - _LONG.size


def _append(block: bytearray, table: Mapping[int, Entry]) -> None:
    """Write a directory without a following one, with its values behind it."""
    end = len(block) + _FRAME + _ENTRY.size * len(table)
    values = []
    block += _SHORT.pack(len(table))
    for tag in sorted(table):
        kind = table[tag].kind
        length, data = _data(table[tag])
        if len(data) <= _INSIDE:
            block += _ENTRY_WITH_VALUE.pack(tag, kind, length, data)
            continue
        block += _ENTRY.pack(tag, kind, length, end)
        if len(data) % 2:
            data += b"\0"
        values.append(data)
        end += len(data)
    block += b"".join((_LONG.pack(0), *values))


def _data(entry: Entry) -> tuple[int, bytes]:
    """Return how many values an entry has, and their bytes."""
    kind, value = entry
    if isinstance(value, bytes):
        data = value + b"\0" if kind == ASCII else value
        return len(data), data
    if kind in RATIONALS:
        return len(value) // 2, struct.pack(f">{len(value)}{RATIONALS[kind][0]}", *value)
    return len(value), struct.pack(f">{len(value)}{NUMBERS[kind]}", *value)
