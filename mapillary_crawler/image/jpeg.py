"""JPEG files taken apart into segments, and put together with other metadata.

Pure: bytes in, bytes out. The compressed data and every segment that is not
replaced stay byte for byte, fill bytes and bytes after the end marker included
(ITU-T T.81, annex B).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Bytes a segment's payload may have: its length field has two bytes and counts itself.
MAX_PAYLOAD = 65_533

#: What APP1 payloads begin with (CIPA DC-008 4.5.4; Adobe XMP part 3, 1.1.3).
EXIF = b"Exif\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"

#: What every JPEG begins with.
START = b"\xff\xd8"

_SOS = 0xDA
_APP0 = 0xE0
_APP1 = 0xE1
# Start-of-frame markers; C4, C8 and CC between them are tables and an extension.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that have no length field, so no place before the first scan.
_NO_SEGMENT = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# A profile of 16 MB has 255 segments; more than this is an attack on memory.
_MAX_SEGMENTS = 4096
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)


class JpegError(ValueError):
    """A file that cannot be taken apart or put together; the text is the cause alone."""


class Written(NamedTuple):
    """A file with metadata, and why something of the file's own had to go."""

    data: bytes
    troubles: tuple[str, ...]


class Segment(NamedTuple):
    """A segment before the first scan."""

    marker: int
    #: With fill bytes, marker and length field.
    raw: bytes
    payload: bytes

    def is_app1(self, identifier: bytes) -> bool:
        """Say whether this is the application segment 1 of `identifier`."""
        return self.marker == _APP1 and self.payload.startswith(identifier)


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG taken apart: `segments`, then `scan`, which goes to the last byte of the file."""

    segments: tuple[Segment, ...]
    scan: memoryview
    #: Pixels as the frame header has them, before any orientation.
    width: int
    height: int

    def app1(self, identifier: bytes) -> list[bytes]:
        """Return what follows `identifier` in each of its segments."""
        return [s.payload[len(identifier) :] for s in self.segments if s.is_app1(identifier)]

    def with_app1(
        self, payload: bytes, *, instead_of: Callable[[Segment], bool], after: Sequence[bytes] = ()
    ) -> bytes:
        """Return the file with one more application segment 1.

        It goes behind the leading APP0 segments (JFIF) and those of the
        identifiers in `after`; the segments `instead_of` names are left out.
        Raises `JpegError` for a payload over 65,533 bytes.
        """
        if len(payload) > MAX_PAYLOAD:
            raise JpegError("metadata segment over 64 KB")
        kept = [segment for segment in self.segments if not instead_of(segment)]
        place = 0
        while place < len(kept) and (
            kept[place].marker == _APP0 or any(kept[place].is_app1(name) for name in after)
        ):
            place += 1
        raw = [segment.raw for segment in kept]
        length = (len(payload) + 2).to_bytes(2, "big")
        raw.insert(place, b"".join((b"\xff\xe1", length, payload)))
        return b"".join((START, *raw, self.scan))


def parse(data: bytes) -> Jpeg:
    """Take a JPEG apart, up to its first scan; raise `JpegError` if it is none.

    Whatever the bytes, the work is bounded by their number.
    """
    if not data.startswith(START):
        raise JpegError("not a JPEG")
    segments: list[Segment] = []
    size: tuple[int, int] | None = None
    start = 2
    while (marker := _marker(data, start))[0] != _SOS:
        code, end_of_marker = marker
        if len(segments) == _MAX_SEGMENTS:
            raise JpegError("too many segments")
        end = end_of_marker + int.from_bytes(data[end_of_marker : end_of_marker + 2], "big")
        if end < end_of_marker + 2 or end > len(data):
            raise JpegError("header cut off")
        payload = data[end_of_marker + 2 : end]
        segments.append(Segment(code, data[start:end], payload))
        if code in _FRAMES and size is None:
            size = _frame_size(payload)
        start = end
    if size is None:
        raise JpegError("no frame header")
    return Jpeg(tuple(segments), memoryview(data)[start:], *size)


def _marker(data: bytes, start: int) -> tuple[int, int]:
    """Return the code of the marker at `start` and where it ends."""
    found = _MARKER.match(data, start)
    if found is None:
        raise JpegError("header cut off" if start >= len(data) - 1 else "no marker after a segment")
    code = found[1][0]
    if code in _NO_SEGMENT:
        raise JpegError("no scan after the header")
    return code, found.end()


def _frame_size(payload: bytes) -> tuple[int, int]:
    """Return width and height in pixels of a start-of-frame segment."""
    width, height = int.from_bytes(payload[3:5], "big"), int.from_bytes(payload[1:3], "big")
    # A height of 0 is defined after the first scan (DNL), which no reader of ours supports.
    if not (width and height):
        raise JpegError("frame without a size")
    return width, height
