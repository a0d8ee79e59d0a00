"""Images that are served in another format than JPEG: whether they are whole, and the wanted ones.

Each is decoded by Pillow's own class for its format and by no other, to the last frame; what
Pillow warns of counts as an error. Pictures that cost more than is reasonable are not decoded.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PIL

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: Frames of an animation, and pixels of all of them.
_FRAMES, _PIXELS_OF_FRAMES = 500, 2_000_000_000
#: Share by which sides may differ from those that are expected, and pixels for their rounding.
_SHARE, _PIXEL = 0.02, 1
#: EXIF: orientations by which width and height change places.
_TURNED = frozenset({5, 6, 7, 8})

_PILLOW = str(Path(PIL.__file__).parent)
#: The filters of warnings are the process's, and decoding takes place in several threads.
WARNINGS = threading.Lock()


class OtherFormatError(ValueError):
    """The body is no whole image of the format that it starts as; the text is the cause alone."""


def other_format(body: bytes) -> str | None:
    """Return the extension of the format that a body starts as; None if it is none of these."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    if body[4:8] == b"ftyp" and body[8:12] in (b"avif", b"avis"):
        return "avif"
    return None


def decode(body: bytes, extension: str, most_pixels: int) -> tuple[int, int]:
    """Decode all of a body; return width and height in pixels.

    Raises `OtherFormatError`; MemoryError, which says nothing of the body, passes through.
    """
    with WARNINGS, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            if extension == "png":  # without it Pillow reads no checksum of the picture's data
                _opened(body, extension).verify()
            with _opened(body, extension) as image:
                size = image.size
                _decode_frames(image, most_pixels)
        except (OtherFormatError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  Pillow's decoders raise many kinds
            text = f"no whole {extension.upper()}: {type(error).__name__}: {error}"
            raise OtherFormatError(text) from None
    for warning in warned:
        if warning.filename.startswith(_PILLOW):
            raise OtherFormatError(f"no whole {extension.upper()}: {warning.message}")
        warnings.showwarning(
            warning.message, warning.category, warning.filename, warning.lineno
        )  # another thread's
    return size


def _opened(body: bytes, extension: str) -> ImageFile:
    """Open a body by the class of that format, which has no guard against size of its own."""
    from PIL.AvifImagePlugin import AvifImageFile  # noqa: PLC0415  few crawls ever need them
    from PIL.GifImagePlugin import GifImageFile  # noqa: PLC0415
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415
    from PIL.WebPImagePlugin import WebPImageFile  # noqa: PLC0415

    decoders: dict[str, Any] = {
        "avif": AvifImageFile,
        "gif": GifImageFile,
        "png": PngImageFile,
    }
    opened: ImageFile = decoders.get(extension, WebPImageFile)(BytesIO(body))
    return opened


def _decode_frames(image: ImageFile, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        raise OtherFormatError(
            f"absurd dimensions, {width} x {height} pixels, {most_pixels:,} at most"
        )
    most = min(_FRAMES, _PIXELS_OF_FRAMES // (width * height))
    for frame in count():
        try:
            image.seek(frame)
        except EOFError:
            return
        if frame >= most:
            raise OtherFormatError(f"more than {most} frames of {width} x {height} pixels")
        image.load()


def size_fault(size: tuple[int, int], quality: str, row: Mapping[str, Any]) -> str | None:
    """Return why a picture of that size is not the row's image at a quality; None if it may be.

    Graph API: a row has the pixels of the upload, thumbs are as wide as their quality says, and
    never wider than the upload.
    """
    width, height = _side(row.get("width")), _side(row.get("height"))
    if not (width and height):
        return "its row does not say how large the image is"
    uploads = [(width, height)]
    if row.get("exif_orientation") in _TURNED:
        uploads.append((height, width))
    for across, down in uploads:
        wanted = across if quality == "original" else min(int(quality), across)
        if _is_near(size[0], wanted) and _is_near(size[1], size[0] * down / across):
            return None
    return f"{size[0]} x {size[1]} pixels, of an upload of {width} x {height}"


def _side(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _is_near(found: int, wanted: float) -> bool:
    return abs(found - wanted) <= max(_SHARE * wanted, _PIXEL)
