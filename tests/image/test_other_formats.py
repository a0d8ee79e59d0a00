"""Bodies in another format than JPEG: whole or not, of the wanted size or not."""

from __future__ import annotations

import random
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from mapillary_crawler.image import other_formats
from mapillary_crawler.image.other_formats import OtherFormatError, decode, other_format, size_fault

MOST = 250_000_000
FORMATS = ["png", "gif", "webp", "avif"]

pytestmark = pytest.mark.skipif(
    not (features.check("webp") and features.check("avif")), reason="Pillow without WebP or AVIF"
)


@cache
def body(extension: str, frames: int = 1) -> bytes:
    noise = random.Random(extension)
    pictures = [
        Image.frombytes("RGB", (48, 24), noise.randbytes(48 * 24 * 3)) for _ in range(frames)
    ]
    packed = BytesIO()
    more: dict[str, Any] = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(packed, extension.upper(), **more)
    return packed.getvalue()


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("extension", FORMATS)
def test_whole_ones(extension: str, frames: int):
    assert other_format(body(extension, frames)) == extension
    assert decode(body(extension, frames), extension, MOST) == (48, 24)


@pytest.mark.parametrize("start", [b"", b"<html>", b"\xff\xd8\xff", b"RIFF\0\0\0\0WAVE", b"%PDF"])
def test_what_is_none_of_them(start: bytes):
    assert other_format(start + b"x" * 40) is None


@settings(max_examples=60)
@given(st.sampled_from(FORMATS), st.sampled_from([1, 3]), st.data())
def test_no_part_of_one_is_whole(extension: str, frames: int, data: st.DataObject):
    whole = body(extension, frames)
    # Without its very last bytes a GIF or a PNG has all its pixels still.
    cut = whole[: data.draw(st.integers(12, len(whole) - 5))]
    # Of the others, where their end is zeros, the decoders make a picture; nothing in them tells.
    zeroed = [cut.ljust(len(whole), b"\0")] if extension == "png" else []
    for damaged in (cut, *zeroed):
        with pytest.raises(OtherFormatError):
            decode(damaged, extension, MOST)


@settings(max_examples=100)
@given(st.sampled_from(FORMATS), st.data())
def test_no_damage_ends_in_another_error(extension: str, data: st.DataObject):
    damaged = bytearray(body(extension))
    for at in data.draw(st.lists(st.integers(12, len(damaged) - 1), max_size=6)):
        damaged[at] ^= data.draw(st.integers(1, 255))
    with suppress(OtherFormatError):
        width, height = decode(bytes(damaged), extension, 48 * 24)
        assert 0 < width * height <= 48 * 24


@given(st.integers(8, 10**6), st.integers(1, 255))
def test_every_changed_byte_of_a_png_is_found(at: int, change: int):
    damaged = bytearray(body("png"))
    damaged[at % (len(damaged) - 12) + 8] ^= change  # but for the checksum of the end
    with pytest.raises(OtherFormatError):
        decode(bytes(damaged), "png", MOST)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_limits_come_before_decoding():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(OtherFormatError, match="absurd dimensions, 20000 x 20000"):
        decode(bomb, "png", MOST)
    with pytest.raises(OtherFormatError, match="absurd dimensions, 48 x 24 pixels, 1,000 at most"):
        decode(body("webp"), "webp", 1000)


def test_frames_are_limited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(other_formats, "_FRAMES", 2)
    assert decode(body("gif", 1), "gif", MOST) == (48, 24)
    with pytest.raises(OtherFormatError, match="more than 2 frames"):
        decode(body("gif", 3), "gif", MOST)


def test_what_pillow_warns_of_counts_as_an_error():
    """An animation that it does not understand, say, of which it shows the first frame."""
    png = body("png")
    odd = png[:33] + chunk(b"acTL", struct.pack(">II", 0, 0)) + png[33:]
    with pytest.raises(OtherFormatError, match="Invalid APNG"):
        decode(odd, "png", MOST)


def test_warnings_of_other_threads_are_neither_lost_nor_errors():
    def warn() -> None:
        for number in range(200):
            warnings.warn(f"of another thread {number}", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as seen, ThreadPoolExecutor(2) as threads:
        warnings.simplefilter("always")
        warned = threads.submit(warn)
        sizes = list(threads.map(lambda _: decode(body("png"), "png", MOST), range(50)))
        warned.result()
    assert set(sizes) == {(48, 24)}
    assert len({str(each.message) for each in seen}) == 200


ROW = {"width": 4000, "height": 3000}


@pytest.mark.parametrize(
    ("size", "quality", "row"),
    [
        ((256, 192), "256", ROW),
        ((1024, 768), "1024", ROW),
        ((2048, 1151), "2048", {"width": 3840, "height": 2159}),
        ((4000, 3000), "original", ROW),
        ((4040, 3030), "original", ROW),
        ((200, 100), "256", {"width": 200, "height": 100}),
        ((256, 21), "256", {"width": 2560, "height": 205}),
        ((256, 341), "256", ROW | {"exif_orientation": 6}),
    ],
)
def test_sizes_that_may_be_the_image(size: tuple[int, int], quality: str, row: dict[str, Any]):
    assert size_fault(size, quality, row) is None


@pytest.mark.parametrize(
    ("size", "quality", "row", "reason"),
    [
        ((256, 256), "256", ROW, "256 x 256 pixels, of an upload of 4000 x 3000"),
        ((256, 180), "256", ROW, "256 x 180"),
        ((1024, 768), "256", ROW, "1024 x 768"),
        ((256, 192), "original", ROW, "256 x 192"),
        ((256, 341), "256", ROW | {"exif_orientation": 3}, "256 x 341"),
        ((256, 192), "256", {}, "its row does not say"),
        ((256, 192), "256", {"width": "4000", "height": True}, "its row does not say"),
        ((256, 192), "256", {"width": 0, "height": -1}, "its row does not say"),
    ],
)
def test_sizes_that_are_not_the_image(
    size: tuple[int, int], quality: str, row: dict[str, Any], reason: str
):
    assert reason in (size_fault(size, quality, row) or "")
