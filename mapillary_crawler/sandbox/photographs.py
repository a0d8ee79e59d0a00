"""The bodies the image CDN serves: a small pool of JPEGs, each image's own by one segment.

As observed on the real CDN: thumbs carry a Photoshop APP13 segment and no EXIF, originals an EXIF
block of 34 bytes with nothing but the Orientation, which is 3 in about 13 of 400 images.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from threading import Lock
from typing import TYPE_CHECKING

from PIL import Image as Pillow
from PIL import ImageCms
from PIL.Image import Resampling
from PIL.JpegImagePlugin import JpegImageFile

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The four qualities and the width of their thumbs in pixels; None is the upload's own width.
WIDTHS: dict[str, int | None] = {"256": 256, "1024": 1024, "2048": 2048, "original": None}
#: Namespace of the XMP properties of panoramas.
_PANORAMA = b"http://ns.google.com/photos/1.0/panorama/"
#: Share of grain and JPEG quality that give the sizes seen: about 15 KB, 120 KB, 400 KB, 3.5 MB.
_GRAIN = {"256": (0.30, 84), "1024": (0.12, 81), "2048": (0.10, 80), "original": (0.36, 86)}


@dataclass(frozen=True, slots=True)
class Photograph:
    """One entry of the pool: the pixels of the upload, not of a thumb, and how it is coded."""

    name: str
    width: int
    height: int
    mode: str = "RGB"
    progressive: bool = False
    icc: bool = False
    subsampling: int = 2
    #: Bytes that follow the end marker, as some cameras leave them.
    trailing: bytes = b""
    file: Path | None = None
    #: The file says that it is a panorama, perhaps a part of one.
    says_panorama: bool = False

    @property
    def panorama(self) -> bool:
        """Whether it is twice as wide as high, or says that it is a panorama."""
        return self.says_panorama or self.width == 2 * self.height

    def size(self, quality: str) -> tuple[int, int]:
        """Return width and height in pixels at a quality; thumbs are never enlarged."""
        width = WIDTHS[quality]
        if width is None or width >= self.width:
            return self.width, self.height
        return width, max(1, round(width * self.height / self.width))

    def coded(self, quality: str) -> str:
        """Return the smallest thumb of the same size: small uploads have one file for several."""
        if quality == "original":
            return quality
        return next(each for each in WIDTHS if self.size(each) == self.size(quality))


GENERATED = (
    Photograph("4:3 progressive", 4000, 3000, progressive=True),
    Photograph("4:3 baseline", 4160, 3120),
    Photograph("4:3 greyscale", 4000, 3000, mode="L"),
    # 2159, not 2160: the real CDN names the thumb of 16:9 images s2048x1151.
    Photograph("16:9 with ICC profile", 3840, 2159, progressive=True, icc=True),
    Photograph("16:9 with bytes after the end", 3840, 2159, trailing=b"\0" * 16),
    Photograph("portrait", 3000, 4000, progressive=True),
    Photograph("2:1 progressive", 5760, 2880, progressive=True),
    Photograph("2:1 baseline with ICC profile", 5760, 2880, icc=True, subsampling=0),
)


class Photographs:
    """The pool, made once per quality when first asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the JPEGs of a folder, if given; generated panoramas fill in where it has none."""
        pool = GENERATED if folder is None else _from_folder(folder)
        self.flat: Sequence[Photograph] = [each for each in pool if not each.panorama]
        self.flat = self.flat or [each for each in GENERATED if not each.panorama]
        self.panoramas: Sequence[Photograph] = [each for each in pool if each.panorama]
        self.panoramas = self.panoramas or [each for each in GENERATED if each.panorama]
        self._made: dict[tuple[Photograph, str], tuple[bytes, bytes]] = {}
        self._making = Lock()

    def is_made(self, photograph: Photograph, quality: str) -> bool:
        """Whether a body costs no more than a concatenation."""
        return (photograph, photograph.coded(quality)) in self._made

    def make(self, photograph: Photograph, quality: str) -> tuple[bytes, bytes]:
        """Return the JPEG in two parts between which segments may be put; made once."""
        key = photograph, photograph.coded(quality)
        with self._making:
            if key not in self._made:
                self._made[key] = _parts(*key)
        return self._made[key]

    def body(self, photograph: Photograph, quality: str, image_id: str, turned: bool) -> bytes:
        """Return the JPEG of one image; the id is in a segment, so no two bodies are equal.

        `turned` gives the original an EXIF Orientation of 3.
        """
        head, rest = self.make(photograph, quality)
        mark = image_id.encode("utf-8", "surrogatepass")[:4000]
        if quality == "original":
            exif = b"" if photograph.file else _orientation(3 if turned else 1)
            return head + exif + _segment(0xFE, b"image " + mark) + rest
        if len(mark) % 2:
            return head + _photoshop(mark) + rest
        return head + _segment(0xFE, b"thumb " + mark) + rest


def _parts(photograph: Photograph, quality: str) -> tuple[bytes, bytes]:
    if photograph.file and quality == "original":
        data = photograph.file.read_bytes()
    else:
        data = _encode(photograph, quality)
    first = 4 + struct.unpack(">H", data[4:6])[0] if data[3] & 0xF0 == 0xE0 else 2
    return data[:first], data[first:] + photograph.trailing


def _encode(photograph: Photograph, quality: str) -> bytes:
    size = photograph.size(quality)
    grain, level = _GRAIN[quality]
    if photograph.file:
        with Pillow.open(photograph.file) as source:
            source.draft("RGB", size)
            picture = source.convert("RGB").resize(size)
    else:
        picture = _scene(photograph.name, size, grain).convert(photograph.mode)
    target = BytesIO()
    picture.save(
        target,
        "JPEG",
        quality=level,
        progressive=photograph.progressive,
        icc_profile=_srgb() if photograph.icc else None,
        subsampling=photograph.subsampling,
    )
    return target.getvalue()


def _scene(name: str, size: tuple[int, int], grain: float) -> Pillow.Image:
    """Paint soft colours under grain, so that files get the size of real photographs."""
    random = Random(name)
    width, height = max(1, size[0] // 2), max(1, size[1] // 2)
    soft = Pillow.frombytes("RGB", (8, 6), random.randbytes(144)).resize(size, Resampling.BICUBIC)
    noise = Pillow.frombytes("L", (width, height), random.randbytes(width * height))
    return Pillow.blend(soft, noise.resize(size, Resampling.BILINEAR).convert("RGB"), grain)


@cache
def _srgb() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)  # otherwise the time of this run
    return bytes(profile)


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _photoshop(mark: bytes) -> bytes:
    """Return the APP13 segment of the real thumbs, an IPTC special instruction `FBMD…`."""
    text = b"FBMD0a00" + mark
    caption = b"\x1c\x02\x28" + struct.pack(">H", len(text)) + text
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(caption)) + caption
    return _segment(0xED, b"Photoshop 3.0\0" + block + b"\0" * (len(caption) % 2))


def _orientation(value: int) -> bytes:
    entry = struct.pack("<HHIHH", 0x112, 3, 1, value, 0)
    return _segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0")


def _from_folder(folder: Path) -> list[Photograph]:
    """Return the JPEGs of a folder by name; ValueError if it holds none."""
    found = []
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in {".jpg", ".jpeg"}:
            # Not `open`, which refuses pictures beyond a size: the sandbox serves what it is given.
            with JpegImageFile(file) as picture:
                says = _PANORAMA in file.read_bytes()
                width, height = picture.size
            found.append(Photograph(file.name, width, height, file=file, says_panorama=says))
    if not found:
        raise ValueError(f"no JPEG in {folder}")
    return found
