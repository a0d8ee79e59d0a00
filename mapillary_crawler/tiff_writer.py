"""Writes the TIFF structure of an EXIF block.

Pure, the counterpart of `tiff`: big-endian, directories with their pointer to a following one,
values at even offsets (TIFF 6.0, section 2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from mapillary_crawler.tiff import (
    ASCII,
    NUMBERS,
    POINTERS,
    RATIONALS,
    THUMBNAIL_LENGTH,
    THUMBNAIL_OFFSET,
    Entry,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Directories in the order in which they are written.
ORDER = ("0th", "Exif", "GPS", "Interop", "1st")

_HEADER = b"MM\0*\0\0\0\x08"
_SHORT, _LONG = struct.Struct(">H"), struct.Struct(">L")
_LONG_TYPE = 4
#: Tag, type, number of values, and the value or its offset (filled up with zeros).
_ENTRY = struct.Struct(">HHL4s")
_INSIDE = 4
#: Bytes of a directory without its entries: their number, and the pointer to a following one.
_FRAME = 6


class _Packed(NamedTuple):
    """An entry as it is written: at most four bytes of data stand in the entry itself."""

    tag: int
    kind: int
    length: int
    data: bytes


def write(directories: Mapping[str, Mapping[int, Entry]], thumbnail: bytes | None = None) -> bytes:
    """Return the block, TIFF header first; without a thumbnail there is no directory `1st`.

    Numbers must be within their type (`Entry.of_type`); raises struct.error if not.
    """
    tables = {name: _packed(directories.get(name, {})) for name in ORDER}
    if thumbnail is None:
        tables["1st"] = []
    else:
        tables["1st"] += [_long(THUMBNAIL_OFFSET), _long(THUMBNAIL_LENGTH, len(thumbnail))]
    # Innermost first: a directory that holds a pointer only must be there, too.
    for (parent, tag), name in reversed(POINTERS.items()):
        if tables[name]:
            tables[parent].append(_long(tag))
    starts, end = {}, len(_HEADER)
    for name, table in tables.items():
        if table or name == "0th":
            starts[name] = end
            end += _size(table)
    numbers = {(parent, tag): starts.get(name, 0) for (parent, tag), name in POINTERS.items()}
    numbers["1st", THUMBNAIL_OFFSET] = end
    following = {"0th": starts.get("1st", 0)}
    blocks = [
        _directory(
            [
                entry._replace(data=_LONG.pack(numbers[name, entry.tag]))
                if (name, entry.tag) in numbers
                else entry
                for entry in sorted(tables[name])
            ],
            start,
            following.get(name, 0),
        )
        for name, start in starts.items()
    ]
    return b"".join((_HEADER, *blocks, thumbnail or b""))


def _packed(entries: Mapping[int, Entry]) -> list[_Packed]:
    return [_Packed(tag, entry.kind, *_data(entry)) for tag, entry in entries.items()]


def _data(entry: Entry) -> tuple[int, bytes]:
    """Return how many values an entry has, and their bytes."""
    kind, value = entry
    if isinstance(value, bytes):
        data = value + b"\0" if kind == ASCII else value
        return len(data), data
    if kind in RATIONALS:
        return len(value) // 2, struct.pack(f">{len(value)}{RATIONALS[kind][0]}", *value)
    return len(value), struct.pack(f">{len(value)}{NUMBERS[kind]}", *value)


def _long(tag: int, number: int = 0) -> _Packed:
    return _Packed(tag, _LONG_TYPE, 1, _LONG.pack(number))


def _size(table: Iterable[_Packed]) -> int:
    """Return the bytes of a directory with its values."""
    return _FRAME + sum(_ENTRY.size + _outside(entry.data) for entry in table)


def _outside(data: bytes) -> int:
    """Return the bytes that data takes outside its entry: none up to four, else an even number."""
    return 0 if len(data) <= _INSIDE else len(data) + len(data) % 2


def _directory(table: list[_Packed], start: int, following: int) -> bytes:
    """Return a directory that begins at `start`, with its values behind it."""
    entries, values = [], []
    end = start + _FRAME + _ENTRY.size * len(table)
    for tag, kind, length, data in table:
        taken = _outside(data)
        place = _LONG.pack(end) if taken else data
        entries.append(_ENTRY.pack(tag, kind, length, place))
        if taken:
            values.append(data.ljust(taken, b"\0"))
            end += taken
    return b"".join((_SHORT.pack(len(table)), *entries, _LONG.pack(following), *values))
