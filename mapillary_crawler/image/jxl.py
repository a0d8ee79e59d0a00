"""Pure: the file of a JPEG XL: its boxes, its size in pixels, its metadata.

ISO/IEC 18181-2 has the boxes, 18181-1 the header of the codestream. Encoders pack EXIF and XMP
with Brotli (`brob`), which few readers unpack, exiftool without a module of Perl's among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from mapillary_crawler.image import jpeg
from mapillary_crawler.image.encoders import NotEncoded
from mapillary_crawler.image.jxl_reconstruction import Unreadable, needs_later_reader

#: What a JPEG XL in boxes begins with; one that gives back a JPEG is always in boxes.
START = b"\x00\x00\x00\x0cJXL \r\n\x87\n"

_CODESTREAM = b"\xff\x0a"
#: What stands before the TIFF header in an `Exif` box: where that begins.
_AT_ONCE = bytes(4)
#: Ratios of width to height that the header of a codestream can name.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
#: Bits of the sides that it can hold.
_SIDE_BITS = (9, 13, 18, 30)
#: Bytes of the codestream that the size is within: two of signature, 64 bits at most.
_HEADER_BYTES = 10

Reason = Literal[
    "too-large", "encoder-failed", "no-end", "broken-output", "metadata-lost", "not-identical",
    "not-smaller", "not-everywhere",
]  # fmt: skip


class JxlError(NotEncoded):
    """An image that did not become JPEG XL, or none that gives back its JPEG."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)


class Box(NamedTuple):
    """A box: its type, its content, and all of its bytes."""

    type: bytes
    content: memoryview
    whole: memoryview


def boxes(file: bytes) -> Iterator[Box]:
    """Yield the boxes of a file; raises `JxlError` where it is not made of such."""
    if not file.startswith(START):
        raise JxlError("broken-output", f"{len(file)} bytes are no JPEG XL in boxes")
    view, place = memoryview(file), 0
    while place < len(file):
        size, header = int.from_bytes(view[place : place + 4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(view[place + 8 : place + 16], "big"), 16
        end = place + size if size else len(file)
        if end < place + header or end > len(file):
            raise JxlError("broken-output", f"the box at byte {place} is cut off")
        yield Box(bytes(view[place + 4 : place + 8]), view[place + header : end], view[place:end])
        place = end


def with_plain_metadata(file: bytes, source: bytes) -> bytes:
    """Return the file with EXIF and XMP as they are, where they were packed.

    They are those of the JPEG `source` that it was made of: nothing needs to be unpacked, and who
    decodes the file finds out whether they are the same. Raises `JxlError`.
    """
    metadata = _metadata(source)
    parts: list[bytes | memoryview] = []
    for box in boxes(file):
        packed = bytes(box.content[:4]) if box.type == b"brob" else b""
        if packed in metadata:
            content = metadata[packed]
            parts += [(8 + len(content)).to_bytes(4, "big"), packed, content]
        else:
            parts.append(box.whole)
    return b"".join(parts)


def verify(file: bytes, source: bytes) -> None:
    """Raise `JxlError` unless a file has size and metadata of the JPEG `source`, to be read plain.

    Whether it gives back the JPEG, only a decoder can say; of one that old decoders do not give
    back, it is known.
    """
    found: dict[bytes, list[bytes]] = {}
    for box in boxes(file):
        if box.type == b"jbrd":
            _require_any_reader(bytes(box.content))
        if box.type in (b"Exif", b"xml "):
            found.setdefault(box.type, []).append(bytes(box.content))
    metadata = _metadata(source)
    if found != {kind: [content] for kind, content in metadata.items()}:
        detail = f"boxes are {sorted(found)}, the JPEG has {sorted(metadata)}"
        raise JxlError("metadata-lost", detail)
    picture = _parsed(source)
    if (size := dimensions(file)) != (picture.width, picture.height):
        raise JxlError("broken-output", f"{size} pixels of {picture.width, picture.height}")


def _require_any_reader(box: bytes) -> None:
    try:
        if needs_later_reader(box):
            text = "restart intervals padded with zeros, which libjxl 0.7 does not give back"
            raise JxlError("not-everywhere", text)
    except Unreadable:
        raise JxlError("broken-output", "its reconstruction data cannot be read") from None


def dimensions(file: bytes) -> tuple[int, int]:
    """Return width and height in pixels as the codestream's header has them; raises `JxlError`."""
    start = b""
    for box in boxes(file):
        if box.type in (b"jxlc", b"jxlp"):  # a part has its number before it
            start += bytes(box.content[4 * (box.type == b"jxlp") :][:_HEADER_BYTES])
        if len(start) >= _HEADER_BYTES:
            break
    if not start.startswith(_CODESTREAM):
        raise JxlError("broken-output", "there is no codestream")
    bits = _Bits(start[2:])
    is_small = bits.take(1)
    height = _side(bits, is_small=bool(is_small))
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return _side(bits, is_small=bool(is_small)), height


def _side(bits: _Bits, *, is_small: bool) -> int:
    if is_small:
        return 8 * (bits.take(5) + 1)
    return bits.take(_SIDE_BITS[bits.take(2)]) + 1


class _Bits:
    """Numbers of so many bits, the lowest first; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """Return the next number of so many bits."""
        number = self._left & ((1 << count) - 1)
        self._left >>= count
        return number


def _metadata(source: bytes) -> dict[bytes, bytes]:
    """Return what the boxes for a JPEG's EXIF and XMP hold: the first of each, as libjxl does."""
    picture = _parsed(source)
    exif, xmp = picture.app1(jpeg.EXIF), picture.app1(jpeg.XMP)
    found = {}
    if exif:  # behind the identifier there is another NUL (CIPA DC-008)
        found[b"Exif"] = _AT_ONCE + bytes(exif[0][1:])
    if xmp:
        found[b"xml "] = bytes(xmp[0])
    return found


def _parsed(source: bytes) -> jpeg.Jpeg:
    try:
        return jpeg.parse(source)
    except jpeg.JpegError as error:
        raise JxlError("encoder-failed", f"JPEG: {error}") from error
