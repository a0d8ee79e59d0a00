"""Small pictures of images, as JPEGs: pure, but for Pillow."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.image.encoders import EncodeInterrupted
from mapillary_crawler.image.jxl import JxlError
from mapillary_crawler.image.other_formats import WARNINGS
from mapillary_crawler.ledger.records import SAMPLE_BYTES

#: Why a JPEG XL does not give back its JPEG here: the image, the machine, or no decoder.
NO_JPEG = (JxlError, EncodeInterrupted, Refused)

_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 256, 85
#: Of a sample: pixels of its longer side, and the qualities of which the first that fits is taken.
_SAMPLE_SIDE = 160
_SAMPLE_QUALITIES = (75, 60, 45, 30)


def shrink(body: bytes) -> bytes | None:
    """Return an image, upright, as a JPEG of at most 256 pixels a side; None if it is none."""
    return within(body, _THUMBNAIL_SIDE)


def within(body: bytes, side: int) -> bytes | None:
    """Return an image, upright, as a JPEG of at most `side` pixels a side; None if it is none."""
    upright = _upright(body, side)
    return _packed(upright, _THUMBNAIL_QUALITY) if upright else None


def reduced(body: bytes) -> bytes | None:
    """Return an image, upright, as a JPEG of at most 160 pixels a side and 8 KB, or None."""
    upright = _upright(body, _SAMPLE_SIDE)
    if upright is None:
        return None
    packed = (_packed(upright, quality) for quality in _SAMPLE_QUALITIES)
    return next((jpeg for jpeg in packed if len(jpeg) <= SAMPLE_BYTES), None)


def is_reduced(jpeg: bytes) -> bool:
    """Say whether bytes from anywhere are what `reduced` could have made."""
    if len(jpeg) > SAMPLE_BYTES or not jpeg.startswith(b"\xff\xd8"):
        return False
    with WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
                if max(image.size) > _SAMPLE_SIDE:
                    return False
                image.load()
        except Exception:  # noqa: BLE001  Pillow raises what it likes
            return False
    return True


def _upright(body: bytes, side: int) -> Image.Image | None:
    with WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes and odd metadata, of files judged before
        try:
            with Image.open(io.BytesIO(body)) as image:
                image.draft("RGB", (side, side))
                image.thumbnail((side, side))
                return ImageOps.exif_transpose(image).convert("RGB")
        except Exception:  # noqa: BLE001  Pillow raises what it likes; the next image may do
            return None


def _packed(picture: Image.Image, quality: int) -> bytes:
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=quality)
    return packed.getvalue()
