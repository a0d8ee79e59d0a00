"""Reads the TIFF structure of an EXIF block that anybody may have made.

Pure. What is not sound is left out and counted; work and memory are bounded by
the size of the block, whatever the counts in it say (TIFF 6.0, section 2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
#: TIFF types whose values are numbers, and pairs of numbers, with their `struct` codes.
NUMBERS = {BYTE: "B", SHORT: "H", LONG: "L", 6: "b", 8: "h", 9: "l"}
RATIONALS = {RATIONAL: "LL", 10: "ll"}
_CODES = {ASCII: "s", UNDEFINED: "s", **NUMBERS, **RATIONALS}
_SIZES = {kind: struct.calcsize(f"<{code}") for kind, code in _CODES.items()}

# The numbers each type can hold; of a rational, each of the two.
_RANGES = {
    kind: range(2**bits) if kind < 6 else range(-(2 ** (bits - 1)), 2 ** (bits - 1))
    for kind, bits in ((BYTE, 8), (3, 16), (4, 32), (5, 32), (6, 8), (8, 16), (9, 32), (10, 32))
}

_ENTRY = 12
#: Entries that point to other directories, and to the thumbnail of IFD1.
POINTERS = {("0th", 0x8769): "Exif", ("0th", 0x8825): "GPS", ("Exif", 0xA005): "Interop"}
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202


class TiffError(ValueError):
    """A block whose header or first directory cannot be read."""


class Entry(NamedTuple):
    """A tag's TIFF type and its value: text or bytes, else numbers (two for a rational)."""

    kind: int
    value: bytes | tuple[int, ...]

    def of_type(self, kind: int | None) -> Entry | None:
        """Return the entry as TIFF type `kind` holds its value; None if it cannot.

        Text is without the zeros at its end.
        """
        value = self.value
        if kind is None:
            return None
        if isinstance(value, bytes):
            text = {ASCII: value.rstrip(b"\0"), UNDEFINED: value}.get(kind)
            return None if text is None else Entry(kind, text)
        if kind == UNDEFINED:
            return Entry(kind, bytes(value)) if self.kind == BYTE else None
        if kind not in _RANGES or (kind in RATIONALS) != (self.kind in RATIONALS):
            return None
        if any(number not in _RANGES[kind] for number in value):
            return None
        return Entry(kind, value)


@dataclass
class Contents:
    """What a block holds."""

    #: Tags of the directories 0th, Exif, GPS, Interop and 1st (IFD1), without pointers.
    directories: dict[str, dict[int, Entry]] = field(default_factory=dict)
    thumbnail: bytes | None = None
    #: Entries and directories left out because they are not sound.
    unsound: int = 0


def read(block: bytes) -> Contents:
    """Read a block that begins with the TIFF header; raise `TiffError` if nothing can be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        raise TiffError("no TIFF header")
    reader = _Reader(block, order)
    following = reader.directory("0th", reader.long(4))
    if following is None:
        raise TiffError("no first directory")
    for (parent, tag), name in POINTERS.items():
        pointer = reader.pop_number(parent, tag)
        if pointer is not None:
            reader.directory(name, pointer)
    if following:
        reader.directory("1st", following)
        reader.take_thumbnail()
    return reader.contents


class _Reader:
    """One reading of one block."""

    def __init__(self, block: bytes, order: str) -> None:
        # Some writers leave out the last pointer to a following directory.
        self._block = block + b"\0\0\0\0"
        self._order = order
        self._directories: set[int] = set()
        # Values are as large as the block at most; more is an attack on memory.
        self._budget = len(block)
        self.contents = Contents()

    def long(self, offset: int) -> int:
        number: int = struct.unpack_from(self._order + "L", self._block, offset)[0]
        return number

    def directory(self, name: str, offset: int) -> int | None:
        """Read a directory into the contents; return the next one's offset, None if unsound."""
        table = offset + 2
        if offset in self._directories or table > len(self._block):
            self.contents.unsound += 1
            return None
        self._directories.add(offset)
        (count,) = struct.unpack_from(self._order + "H", self._block, offset)
        end = table + count * _ENTRY
        if end + 4 > len(self._block):
            self.contents.unsound += 1
            return None
        entries = self.contents.directories[name] = {}
        for at in range(table, end, _ENTRY):
            tag, entry = self._entry(at)
            if entry is None or tag in entries:
                self.contents.unsound += 1
            else:
                entries[tag] = entry
        return self.long(end)

    def pop_number(self, name: str, tag: int) -> int | None:
        """Take a pointer or length out of a directory."""
        entry = self.contents.directories.get(name, {}).pop(tag, None)
        if entry is None:
            return None
        number = entry.value[0] if entry.kind in NUMBERS and len(entry.value) == 1 else None
        if not isinstance(number, int) or number < 0:
            self.contents.unsound += 1
            return None
        return number

    def take_thumbnail(self) -> None:
        start = self.pop_number("1st", THUMBNAIL_OFFSET)
        length = self.pop_number("1st", THUMBNAIL_LENGTH)
        if start and length:
            self.contents.thumbnail = self._block[start : start + length]

    def _entry(self, at: int) -> tuple[int, Entry | None]:
        tag, kind, count = struct.unpack_from(self._order + "HHL", self._block, at)
        size = _SIZES.get(kind, 0) * count
        start = at + 8 if size <= 4 else self.long(at + 8)
        if not 0 < size <= self._budget or start + size > len(self._block):
            return tag, None
        self._budget -= size
        if kind in (ASCII, UNDEFINED):
            return tag, Entry(kind, self._block[start : start + size])
        code = f"{self._order}{_CODES[kind] * count}"
        return tag, Entry(kind, struct.unpack_from(code, self._block, start))
