"""WebP: which encoder is installed, what it is told, and whether its output is whole.

No Scrapy here. cwebp is a process an image; Pillow has a libwebp of its own and
encodes in this process. Of one libwebp version both make the same picture.
"""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from typing import Literal

import PIL
from PIL import JpegImagePlugin, features

from mapillary_crawler.image import jpeg
from mapillary_crawler.image.encoders import Encoder, NotEncoded

#: Pixels a side can have (RFC 9649: 14 bits in a lossy frame).
MAX_SIDE = 16_383

_ICC = b"ICC_PROFILE\0"
_APP2 = 0xE2

Reason = Literal["too-large", "encoder-failed", "broken-output", "metadata-lost"]


class WebpError(NotEncoded):
    """An image that did not become WebP."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)


def installed_encoder(choice: str) -> Encoder:
    """Return the encoder for the setting WEBP_ENCODER: auto, cwebp or pillow.

    `auto` is cwebp where it is installed, otherwise Pillow. Starts cwebp to ask for
    its version, so not for the reactor thread of a running crawl. Raises ValueError,
    one line, if the choice is none or not installed.
    """
    if choice not in {"auto", "cwebp", "pillow"}:
        raise ValueError(f"WEBP_ENCODER={choice!r}: allowed are auto, cwebp, pillow")
    found = None if choice == "pillow" else _cwebp()
    if found is None and choice != "cwebp":
        found = _pillow()
    if found is None:
        missing = "Pillow without WebP" if choice == "pillow" else "no working cwebp on PATH"
        raise ValueError(f"WEBP_ENCODER={choice}: {missing}; install it or choose another")
    return found


def _cwebp() -> Encoder | None:
    path = shutil.which("cwebp")
    if path is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - found on PATH, and no shell
            [path, "-version"], capture_output=True, check=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    version = answer.stdout.split()
    return Encoder("cwebp", version[0], path) if version else None


def _pillow() -> Encoder | None:
    version = features.version("webp")
    return Encoder("pillow", f"libwebp {version}, Pillow {PIL.__version__}") if version else None


def cwebp_command(path: str, *, quality: int, method: int) -> list[str]:
    """Return the command that reads a JPEG from standard input and writes WebP to its output."""
    options = ("-metadata", "all", "-q", str(quality), "-m", str(method), "-quiet")
    return [path, *options, "-o", "-", "--", "-"]


def encode_with_pillow(data: bytes, *, quality: int, method: int) -> bytes:
    """Return the JPEG as WebP with EXIF, XMP and ICC profile; for a worker thread.

    Raises `WebpError`, also for colours that cwebp refuses (CMYK), and `MemoryError`.
    """
    output = BytesIO()
    try:
        # Image.open would refuse pictures far smaller than WebP can hold.
        with JpegImagePlugin.JpegImageFile(BytesIO(data)) as image:
            if image.mode not in {"RGB", "L"}:
                raise WebpError("encoder-failed", f"colours are {image.mode}")
            carried = {k: image.info[k] for k in ("exif", "xmp", "icc_profile") if k in image.info}
            image.save(output, "WEBP", quality=quality, method=method, **carried)
    except (OSError, SyntaxError, ValueError) as error:
        raise WebpError("encoder-failed", f"{type(error).__name__}: {error}") from error
    return output.getvalue()


def verify(webp: bytes, source: bytes) -> None:
    """Raise `WebpError` unless `webp` is whole, with the size and metadata of the JPEG `source`."""
    chunks = _chunks(webp)
    frame = chunks.get(b"VP8 ", b"")
    size = tuple(int.from_bytes(frame[at : at + 2], "little") & MAX_SIDE for at in (6, 8))
    try:
        picture = jpeg.parse(source)
    except jpeg.JpegError as error:
        raise WebpError("encoder-failed", f"JPEG: {error}") from error
    if size != (picture.width, picture.height):
        raise WebpError("broken-output", f"{size} pixels of {picture.width, picture.height}")
    exif, xmp = picture.app1(jpeg.EXIF), picture.app1(jpeg.XMP)
    profile = any(s.marker == _APP2 and s.payload.startswith(_ICC) for s in picture.segments)
    if (
        (exif and chunks.get(b"EXIF") != exif[0][1:])
        or (xmp and chunks.get(b"XMP ") != xmp[0])
        or (profile and b"ICCP" not in chunks)
    ):
        raise WebpError("metadata-lost", f"chunks are {b' '.join(chunks).decode('latin-1')}")


def _chunks(webp: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a WebP file (RFC 9649)."""
    size = int.from_bytes(webp[4:8], "little") + 8
    if webp[:4] != b"RIFF" or webp[8:12] != b"WEBP" or size != len(webp):
        raise WebpError("broken-output", f"{len(webp)} bytes are no whole WebP file")
    chunks: dict[bytes, bytes] = {}
    start = 12
    while start < len(webp):
        end = start + 8 + int.from_bytes(webp[start + 4 : start + 8], "little")
        if end > len(webp):
            raise WebpError("broken-output", f"chunk at byte {start} is cut off")
        chunks[webp[start : start + 4]] = webp[start + 8 : end]
        start = end + end % 2
    return chunks
