"""Whether a body is a whole JPEG, and how large its picture is."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO

import simplejpeg
from PIL import Image

#: Pixels of the largest picture that is decoded; the service's largest known has 60 million.
_PIXELS = 250_000_000
#: Side of the reduced picture that is decoded, in pixels: libjpeg scales while it decodes.
_REDUCED = 64
#: Colour spaces that libjpeg cannot turn into grey.
_FOUR_INKS = frozenset({"CMYK", "YCCK"})


class NotAnImage(ValueError):
    """The body does not start as a JPEG does: a page of HTML, text, nothing at all."""


class DamagedImage(ValueError):
    """The body starts as a JPEG and cannot be decoded whole."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A whole JPEG: its size in pixels and the sha256 of its bytes."""

    width: int
    height: int
    sha256: bytes


def inspect(body: bytes) -> Inspection:
    """Decode a body at reduced scale; raises `NotAnImage` or `DamagedImage`.

    libjpeg's warnings count as errors, since it fills what is missing with grey; bytes
    after the end marker are no fault. Takes about 8 ms at 2048 pixels, without the GIL.
    """
    if not body.startswith(b"\xff\xd8"):
        raise NotAnImage(_what_it_is(body))
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(body, strict=True)
    except ValueError as error:
        height, width = _decode_with_pillow(body, error)
    else:
        if width * height > _PIXELS:
            raise DamagedImage(f"absurd dimensions, {width} x {height} pixels")
        _decode(body, "CMYK" if colours in _FOUR_INKS else "GRAY")
    return Inspection(width, height, hashlib.sha256(body).digest())


def _decode(body: bytes, colours: str) -> None:
    try:
        simplejpeg.decode_jpeg(
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
    try:
        with warnings.catch_warnings(action="error"), Image.open(BytesIO(body)) as image:
            if image.format not in {"JPEG", "MPO"}:
                raise DamagedImage(f"{image.format} in a JPEG's place")
            if image.width * image.height > _PIXELS:
                raise DamagedImage(f"absurd dimensions, {image.width} x {image.height} pixels")
            image.draft(None, (_REDUCED, _REDUCED))
            width, height = image.size
            image.load()
    except DamagedImage:
        raise
    except Exception as error:  # noqa: BLE001  Pillow's decoders raise many kinds
        raise DamagedImage(f"{first}; {error}") from None
    return height, width


def _what_it_is(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    return "an HTML page" if start.startswith(b"<") else "no JPEG"
