"""JPEG files taken apart into segments, and put together with other metadata.

Pure: bytes in, bytes out. The compressed data and every segment that is not
replaced stay byte for byte: fill bytes, stray bytes between segments, and bytes after the end
marker included (ITU-T T.81, annex B). Where a segment begins is decided as libjpeg does
(jdmarker.c, next_marker), since what it shows is to have metadata. The one exception are the
offsets of further pictures, which are moved as far as these (see `mpf`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mapillary_crawler.image import mpf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
_APP2 = 0xE2
# Start-of-frame markers; C4, C8 and CC between them are tables and an extension.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that end the picture, or begin another, before the first scan.
_NO_HEADER = frozenset({0xD8, 0xD9})
# Markers without a length field, which libjpeg passes over.
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
# Those of which libjpeg passes over the length field alone where that is too small.
_SKIPPED = frozenset({*range(0xE0, 0xF0), 0xDC, 0xFE})
#: `Segment.marker` of bytes that are no segment.
_STRAY = 0
# A profile of 16 MB has 255 segments; more than this is an attack on memory. Fewer than the judge
# takes, so that a file to which ours were added is whole as well.
_MAX_SEGMENTS = 4000
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)


class JpegError(ValueError):
    """A file that cannot be taken apart or put together; the text is the cause alone."""


class Written(NamedTuple):
    """A file with metadata, and why something of the file's own had to go."""

    data: bytes
    troubles: tuple[str, ...]


class Segment(NamedTuple):
    """A segment before the first scan, or bytes that stand there and are none (marker 0)."""

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
        return [
            segment.payload[len(identifier) :]
            for segment in self.segments
            if segment.marker == _APP1 and segment.payload.startswith(identifier)
        ]

    def with_app1(
        self,
        payload: bytes,
        *,
        instead_of: Callable[[Segment], bool],
        after: Sequence[bytes] = (),
        following: int = 0,
    ) -> bytes:
        """Return the file with one more application segment 1.

        It goes behind the leading APP0 segments (JFIF) and those of the
        identifiers in `after`; those that `instead_of` names are left out.
        Raises `JpegError` for a payload over 65,533 bytes, and for too many segments, of which
        so many are `following`.
        """
        if len(payload) > MAX_PAYLOAD:
            raise JpegError("metadata segment over 64 KB")
        kept = [s for s in self.segments if s.marker != _APP1 or not instead_of(s)]
        if len(kept) + 1 + following > _MAX_SEGMENTS:
            raise JpegError("too many segments")
        place = 0
        while place < len(kept) and (
            kept[place].marker == _APP0 or any(kept[place].is_app1(name) for name in after)
        ):
            place += 1
        kept.insert(place, _segment(_APP1, payload))
        raw = [segment.raw for segment in kept]
        app2 = (segment for segment in kept if segment.marker == _APP2)
        listing = next(filter(_lists_pictures, app2), None)
        if listing is not None:
            raw[kept.index(listing)] = self._moved(listing, kept)
        return b"".join((START, *raw, self.scan))

    def _moved(self, listing: Segment, kept: Sequence[Segment]) -> bytes:
        """Return the list of further pictures, which lie behind the first scan, as it is in `kept`.

        Readers take the first list.
        """
        before = _length(self.segments[self.segments.index(listing) :])
        payload = mpf.moved(
            listing.payload,
            to_scan=before - len(listing.raw) + len(listing.payload),
            shift=_length(kept[kept.index(listing) :]) - before,
            growth=_length(kept) - _length(self.segments),
        )
        return listing.raw[: len(listing.raw) - len(payload)] + payload


def parse(data: bytes) -> Jpeg:
    """Take a JPEG apart, up to its first scan; raise `JpegError` if it is none.

    Whatever the bytes, the work is bounded by their number.
    """
    if not data.startswith(START):
        raise JpegError("not a JPEG")
    segments: list[Segment] = []
    size: tuple[int, int] | None = None
    start = 2
    while True:
        code, marker = _next_marker(data, start)
        if marker > start:
            segments.append(Segment(_STRAY, data[start:marker], b""))
        start = marker
        if code == _SOS:
            break
        if len(segments) >= _MAX_SEGMENTS:
            raise JpegError("too many segments")
        segment = _read_segment(data, start, code)
        segments.append(segment)
        if code in _FRAMES and size is None:
            size = _frame_size(segment.payload)
        start += len(segment.raw)
    if size is None:
        raise JpegError("no frame header")
    return Jpeg(tuple(segments), memoryview(data)[start:], *size)


def _next_marker(data: bytes, start: int) -> tuple[int, int]:
    """Return the code of the next marker from `start` on, and where it begins with its fill bytes.

    What stands before it is stray: it holds no marker, and does not end as one begins.
    """
    found = _MARKER.search(data, start)
    if found is None:
        raise JpegError("header cut off")
    code, at = found[1][0], found.start()
    if code in _NO_HEADER:
        raise JpegError("no scan after the header")
    return code, at if at == start else start + len(data[start:at].rstrip(b"\xff"))


def _read_segment(data: bytes, start: int, code: int) -> Segment:
    """Return the segment of a marker that begins at `start`."""
    marker = start + 2
    while data[marker - 1] == 0xFF:
        marker += 1
    if code in _NO_LENGTH:
        return Segment(_STRAY, data[start:marker], b"")
    length = int.from_bytes(data[marker : marker + 2], "big")
    end = marker + length
    if length < 2 and code in _SKIPPED and marker + 2 <= len(data):
        return Segment(_STRAY, data[start : marker + 2], b"")
    if length < 2 or end > len(data):
        raise JpegError("header cut off")
    return Segment(code, data[start:end], data[marker + 2 : end])


def _segment(code: int, payload: bytes) -> Segment:
    length = (len(payload) + 2).to_bytes(2, "big")
    return Segment(code, b"".join((bytes((0xFF, code)), length, payload)), payload)


def _lists_pictures(app2: Segment) -> bool:
    return app2.payload.startswith(mpf.IDENTIFIER)


def _length(segments: Iterable[Segment]) -> int:
    return sum(len(segment.raw) for segment in segments)


def _frame_size(payload: bytes) -> tuple[int, int]:
    """Return width and height in pixels of a start-of-frame segment."""
    width, height = int.from_bytes(payload[3:5], "big"), int.from_bytes(payload[1:3], "big")
    # A height of 0 is defined after the first scan (DNL), which no reader of ours supports.
    if not (width and height):
        raise JpegError("frame without a size")
    return width, height
