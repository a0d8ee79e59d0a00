"""JPEGs of all kinds that encoders make, and some that only strangers would."""

from __future__ import annotations

from io import BytesIO
from itertools import product
from random import Random
from typing import Any

from PIL import Image
from simplejpeg import decode_jpeg, decode_jpeg_header

from tests.native.streams import DHT, DQT, EOI, SOI, SOS, segment, stuffed

START_OF_SCAN = b"\xff\xda"


def picture(size: tuple[int, int], mode: str = "RGB", grain: float = 0.2, **options: Any) -> bytes:
    """Return a JPEG of soft colours under grain."""
    random = Random(1)
    soft = Image.frombytes("RGB", (8, 6), random.randbytes(144)).resize(size)
    noise = Image.frombytes("L", size, random.randbytes(size[0] * size[1])).convert("RGB")
    output = BytesIO()
    Image.blend(soft, noise, grain).convert(mode).save(output, "JPEG", **options)
    return output.getvalue()


def libjpeg_warns(body: bytes) -> bool:
    """Say whether libjpeg, having accepted the header, warns of the picture or refuses it."""
    try:
        decode_jpeg_header(body, strict=True)
    except ValueError:
        return False
    try:
        decode_jpeg(body, colorspace="GRAY", min_height=64, min_width=64, strict=True)
    except ValueError:
        return True
    return False


#: Small, so that many changes can be tried, and of each kind of scan.
KINDS = [
    picture(size, mode, quality=quality, progressive=progressive, subsampling=sampling, **restart)
    for (size, mode, progressive, sampling), (quality, restart) in zip(
        product([(17, 9), (70, 48)], ["RGB", "L"], [False, True], [0, 1, 2]),
        [(30, {}), (92, {"restart_marker_blocks": 3}), (75, {"restart_marker_rows": 1})] * 8,
        strict=True,
    )
]


def _huffman(kind: int, *codes: tuple[int, int]) -> bytes:
    """Return a table of (length, symbol), in the order of lengths."""
    lengths = [length for length, _ in codes]
    counts = bytes(lengths.count(length) for length in range(1, 17))
    symbols = bytes(symbol for _, symbol in codes)
    return segment(DHT, bytes([kind << 4]) + counts + symbols)


def _start(frame: int, width: int, height: int, components: int = 1) -> bytes:
    """Return what comes before the Huffman tables; no component is subsampled."""
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    named = b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    tables = segment(DQT, b"\0" + b"\1" * 64)
    return SOI + tables + segment(frame, b"\x08" + size + bytes([components]) + named)


def _scan(components: bytes, band: bytes, bits: str) -> bytes:
    """Return a scan of the components numbered so; `band` has its accuracy as well."""
    named = b"".join(bytes([each, 0]) for each in components)
    return segment(SOS, bytes([len(components)]) + named + band) + stuffed(bits)


def _window_outrun() -> bytes:
    """A long code and 15 bits of value, then two short codes and 15: more than 56 bits."""
    tables = _huffman(0, (1, 1)) + _huffman(1, (1, 0xC1), (2, 0), (9, 0x1F), (16, 0xFF))
    data = bytes.fromhex("3020000060400000c080000060000010") + bytes(16)
    return _start(0xC0, 16, 8) + tables + _scan(b"\1", b"\0\x3f\0", "") + data + EOI


def _differences_beyond_31_bits() -> bytes:
    """The largest difference, so often that libjpeg's sum of them overflows."""
    side = 2080
    tables = _huffman(0, (1, 15)) + _huffman(1, (1, 0xE0))
    differences = _scan(b"\1", b"\0\0\0", ("0" + "1" * 15) * (side // 8) ** 2)
    nothing = _scan(b"\1", b"\x01\x3f\0", f"0{(side // 16) ** 2 - (1 << 14):014b}" * 4)
    return _start(0xC2, side, side) + tables + differences + nothing + EOI


def _components_out_of_order() -> bytes:
    """A later scan that names the second component before the first."""
    tables = _huffman(0, (1, 0)) + _huffman(1, (1, 0))
    first = _scan(b"\1\2\3", b"\0\0\x01", "000")
    second = _scan(b"\2\1\3", b"\0\0\x10", "000")
    nothing = b"".join(_scan(bytes([each]), b"\x01\x3f\0", "0") for each in (1, 2, 3))
    return _start(0xC2, 8, 8, 3) + tables + first + second + nothing + EOI


#: Each was called whole by a version of the walk, and is none for libjpeg.
HOSTILE = {
    "window outrun": _window_outrun(),
    "differences beyond 31 bits": _differences_beyond_31_bits(),
    "components out of order": _components_out_of_order(),
}
