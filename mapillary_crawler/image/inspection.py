"""Whether a body is a whole image, and how large its picture is."""

from __future__ import annotations

import hashlib
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO

from PIL.JpegImagePlugin import JpegImageFile
from simplejpeg import decode_jpeg, decode_jpeg_header  # type: ignore[attr-defined]

from mapillary_crawler.image import jpeg

try:
    from jpeg_entropy import is_whole
except ImportError:  # it takes a C compiler to install it: without it, libjpeg decodes every file

    def is_whole(body: bytes) -> bool:  # noqa: ARG001  the signature of the other
        """Say that it cannot be said."""
        return False


#: Pixels of the largest picture that is decoded; the service's largest known has 60 million.
_PIXELS = 250_000_000
#: Pixels beyond which pictures are decoded one at a time: a progressive one costs up to six
#: bytes a pixel at any scale, also where a body of a few bytes only claims to be so large.
_LARGE_PIXELS = 64_000_000
_large = threading.Lock()
#: Side of the reduced picture that is decoded, in pixels: libjpeg scales while it decodes.
_REDUCED = 64
#: Colour spaces that libjpeg cannot turn into grey.
_FOUR_INKS = frozenset({"CMYK", "YCCK"})


class NotAnImage(ValueError):
    """The body does not start as a JPEG does: a page of HTML, text, nothing at all."""


class DamagedImage(ValueError):
    """The body cannot be decoded whole, though it starts as a JPEG, or ought to be WebP."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A whole JPEG: its size in pixels and the sha256 of its bytes."""

    width: int
    height: int
    sha256: bytes


def inspect(body: bytes) -> Inspection:
    """Read a body to its last bit; raises `NotAnImage` or `DamagedImage`.

    Where a walk through its codes does not show it whole, libjpeg decodes it at reduced scale
    and has the last word. Its warnings count as errors, since it fills what is missing with
    grey; bytes after the end marker are no fault. Works without the GIL.
    """
    if not body.startswith(jpeg.START):
        raise NotAnImage(_what_it_is(body))
    try:
        height, width, colours, _ = decode_jpeg_header(body, strict=True)
    except ValueError as error:
        width, height = _decode_with_pillow(body, error)
    else:
        width, height = int(width), int(height)
        with _turn(width, height):
            if not is_whole(body):
                _decode(body, "CMYK" if colours in _FOUR_INKS else "GRAY")
    return Inspection(width, height, hashlib.sha256(body).digest())


def inspect_webp(body: bytes) -> None:
    """Decode a WebP at full size, of an animated one the first frame; raises `DamagedImage`."""
    with _turn(*_webp_size(body)):
        try:
            # Pillow's class has a size guard of its own, below what a crawl accepts.
            from PIL import _webp  # noqa: PLC0415  a Pillow without WebP can still crawl

            whole = _webp.WebPAnimDecoder(body).get_next() is not None
        except Exception as error:  # noqa: BLE001  Pillow's decoders raise many kinds
            raise DamagedImage(f"no whole WebP: {type(error).__name__}: {error}") from None
    if not whole:
        raise DamagedImage("no whole WebP: its picture cannot be decoded")


def _webp_size(body: bytes) -> tuple[int, int]:
    """Return width and height in pixels by the first chunk (RFC 9649); raises `DamagedImage`."""
    kind, start = body[12:16], body[20:30]
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP" and len(start) == 10:
        if kind == b"VP8 ":
            width, height = (int.from_bytes(start[at : at + 2], "little") for at in (6, 8))
            return width & 0x3FFF, height & 0x3FFF
        if kind == b"VP8L":
            bits = int.from_bytes(start[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8X":
            width, height = (int.from_bytes(start[at : at + 3], "little") for at in (4, 7))
            return width + 1, height + 1
    raise DamagedImage("no whole WebP: it does not start as one")


def _turn(width: int, height: int) -> AbstractContextManager[object]:
    """Return what a picture of that size is to be decoded in; raises `DamagedImage`."""
    if width * height > _PIXELS:
        raise DamagedImage(f"absurd dimensions, {width} x {height} pixels")
    return _large if width * height > _LARGE_PIXELS else nullcontext()


def _decode(body: bytes, colours: str) -> None:
    try:
        decode_jpeg(
            body,
            colorspace=colours,
            fastdct=True,
            fastupsample=True,
            min_height=_REDUCED,
            min_width=_REDUCED,
            strict=True,
        )
    except ValueError as error:
        raise DamagedImage(str(error)) from None


def _decode_with_pillow(body: bytes, first: ValueError) -> tuple[int, int]:
    """Decode what simplejpeg does not know, odd subsampling say; return width and height."""
    try:
        with JpegImageFile(BytesIO(body)) as image:
            width, height = image.size  # before `draft`, which makes it the reduced one
            with _turn(width, height):
                image.draft(None, (_REDUCED, _REDUCED))
                image.load()
    except DamagedImage:
        raise
    except Exception as error:  # noqa: BLE001  Pillow's decoders raise many kinds
        raise DamagedImage(f"{first}; {error}") from None
    return width, height


def _what_it_is(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    return "an HTML page" if start.startswith(b"<") else "no JPEG"
