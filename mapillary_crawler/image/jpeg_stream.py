"""What a decoder reads of a JPEG: its frame, its scans, and where it ends.

Pure: bytes in, a description out. Markers are found as libjpeg finds them, over stray bytes and
fill bytes; whatever the bytes, the work is bounded by their number (ITU-T T.81, annex B).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

END = b"\xff\xd9"

_SOI, _EOI, _SOS, _DNL, _COM = 0xD8, 0xD9, 0xDA, 0xDC, 0xFE
# Start-of-frame markers; C4, C8 and CC between them are tables and an extension.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# Markers that have no length field: TEM and RST0 to RST7.
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# What libjpeg does not need for the codes: application segments, comments, numbers of lines, too.
_NOT_NEEDED = frozenset({*range(0xE0, 0xF0), _DNL, _COM}) | _ALONE
# A profile of 16 MB has 255 segments, a progressive picture a dozen scans with a table each.
_MOST_SEGMENTS = 4096
_BLOCK = 64

_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_MARKER_BEHIND_CODES = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)


class StreamError(ValueError):
    """A header of which no decoder can make a picture; the text is the cause alone."""


class TooManySegments(StreamError):
    """More segments than any encoder writes: an attack on time and memory."""


class Frame(NamedTuple):
    """What a start-of-frame segment says."""

    marker: int
    #: Pixels, before any orientation.
    width: int
    height: int
    #: The components' identifiers.
    components: bytes


class Scan(NamedTuple):
    """What a start-of-scan segment says (B.2.3)."""

    components: bytes
    #: The band of coefficients, and the lowest bit of them that it brings.
    first: int
    last: int
    low: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A picture as a decoder needs it."""

    frame: Frame
    scans: tuple[Scan, ...]
    #: The file without application segments, comments and stray bytes before its first scan, up to
    #: its end marker, which is there whether the file has it or not.
    needed: bytes
    #: Whether the file has its end marker.
    ended: bool

    def is_complete(self) -> bool:
        """Say whether the scans bring every bit of every coefficient: none was left out."""
        lowest = [[-1] * _BLOCK for _ in self.frame.components]
        for scan in self.scans:
            place = 0
            for component in scan.components:
                place = self.frame.components.find(component, place)
                if place < 0:  # out of order
                    place = self.frame.components.find(component)
                if place < 0:
                    return False
                if self.frame.marker in _PROGRESSIVE:
                    band = range(scan.first, min(scan.last + 1, _BLOCK))
                    for coefficient in band:
                        lowest[place][coefficient] = scan.low
                else:
                    lowest[place] = [0] * _BLOCK
                place += 1
        return not any(any(of) for of in lowest)

    def without_zeros(self) -> Iterator[bytes]:
        """Yield `needed` without zeros before the end marker, if there are any.

        The first of them may be the end of the codes.
        """
        codes = self.needed.removesuffix(END)
        ended = codes.rstrip(b"\0")
        if len(ended) < len(codes):
            for kept in range(min(3, len(codes) - len(ended))):
                yield ended + bytes(kept) + END


def read_frame(body: bytes) -> Frame:
    """Return the frame of a JPEG, read up to it; raises `StreamError`."""
    return _read_header(body, None)[0]


def _read_header(body: bytes, needed: list[bytes] | None) -> tuple[Frame, int]:
    """Read up to the frame, or, where `needed` gathers what decoders need, to the first scan.

    Returns the frame and where the scan's marker is.
    """
    frame, at = None, 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(body, at)
        if found is None:
            raise StreamError("header cut off")
        start = found.start()
        marker, at = body[start + 1], _end(body, start)
        if marker in _FRAMES:
            if frame is not None:
                raise StreamError("two frames")
            frame = _frame(marker, body[start + 4 : at])
            if needed is None:
                return frame, at
        elif marker == _SOS:
            if frame is None:
                raise StreamError("no frame before its first scan")
            return frame, start
        if needed is not None and marker not in _NOT_NEEDED:
            needed.append(body[start:at])
    raise TooManySegments(f"more than {_MOST_SEGMENTS:,} segments before its first scan")


def _end(body: bytes, start: int) -> int:
    """Return where the segment ends whose marker is at `start`; raises `StreamError`."""
    marker = body[start + 1]
    if marker in _ALONE:
        return start + 2
    if marker == _EOI:
        raise StreamError("it ends before its first scan")
    if marker == _SOI:
        raise StreamError("it starts a second time before its first scan")
    length = int.from_bytes(body[start + 2 : start + 4], "big")
    # libjpeg passes over the length field alone where that says less than its own two bytes.
    end = start + 2 + max(length, 2)
    if end > len(body):
        raise StreamError("header cut off")
    return end


def _frame(marker: int, payload: bytes) -> Frame:
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5]:
        raise StreamError("a frame header of the wrong length")
    height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
    # A height of 0 is defined after the first scan (DNL), which libjpeg does not support.
    if not (width and height):
        raise StreamError("frame without a size")
    return Frame(marker, width, height, payload[6::3])


def read_stream(body: bytes) -> Stream:
    """Return what a decoder needs of a JPEG; raises `StreamError`."""
    needed = [body[:2]]
    frame, start = _read_header(body, needed)
    scans, at, ended = [], start, False
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER_BEHIND_CODES.search(body, at)
        if found is None:
            break
        at = found.end()
        if body[at - 1] == _EOI:
            ended = True
            break
        if body[at - 1] in (_SOI, 0x01):
            continue
        payload, at = at + 2, at + max(int.from_bytes(body[at : at + 2], "big"), 2)
        if at > len(body):
            break
        if body[payload - 3] == _SOS:
            scans.append(_scan(body[payload:at]))
    else:
        raise TooManySegments(f"more than {_MOST_SEGMENTS:,} segments from its first scan on")
    needed.append(body[start:at] if ended else body[start:] + END)
    return Stream(frame, tuple(scans), b"".join(needed), ended)


def _scan(payload: bytes) -> Scan:
    count = payload[0] if payload else 0
    if len(payload) != 4 + 2 * count:
        raise StreamError("a scan header of the wrong length")
    first, last, bits = payload[-3:]
    return Scan(payload[1:-3:2], first, last, bits & 15)
