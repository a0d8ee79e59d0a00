"""JPEGs of all kinds, cut, flipped and odd: each stored JPEG XL gives them back by djxl alone.

    python -m tests.image.jxl_mutations 5000

None is larger than 640 pixels. djxl shares no code with the library that encodes, and the files
are what the pipeline would store.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.image import exif, jpeg, xmp
from mapillary_crawler.image.jxl import JxlError
from mapillary_crawler.image.jxl_codec import Codec, installed_encoder
from tests.shared_data import FOLDER

#: Sides of the pictures, odd ones among them.
SIZES = ((640, 480), (479, 640), (256, 256), (17, 33), (1, 1), (8, 640))
#: How each is written: a mode, and what Pillow is told.
KINDS: tuple[tuple[str, dict[str, object]], ...] = (
    ("RGB", {"quality": 75}),
    ("RGB", {"quality": 92, "subsampling": 0}),
    ("RGB", {"quality": 75, "progressive": True}),
    ("RGB", {"quality": 30, "optimize": True, "subsampling": 1}),
    ("RGB", {"quality": 75, "restart_marker_blocks": 7}),
    ("L", {"quality": 80}),
    ("CMYK", {"quality": 75}),
)
LARGEST = 640


@lru_cache(maxsize=1)
def sources() -> list[bytes]:
    """Return whole JPEGs, with our EXIF and XMP and without, and small real ones where they are."""
    chance = random.Random(24)
    made = []
    for width, height in SIZES:
        noise = Image.frombytes("RGB", (40, 30), chance.randbytes(3600))
        picture = noise.resize((width, height), Image.Resampling.BICUBIC)
        for mode, options in KINDS:
            packed = BytesIO()
            picture.convert(mode).save(packed, "JPEG", **options)
            made += [packed.getvalue(), _with_metadata(packed.getvalue())]
    for path in sorted(FOLDER.glob("*/*.jpg")):
        body = path.read_bytes()
        try:
            found = jpeg.parse(body)
        except jpeg.JpegError:
            continue
        if max(found.width, found.height) <= LARGEST:
            made.append(body)
    return made


def _with_metadata(body: bytes) -> bytes:
    row = {"id": "1", "computed_geometry": {"type": "Point", "coordinates": [13.4, 52.5]}}
    body = exif.write(body, row, captured_at=1_700_000_000_000, username="ada").data
    return xmp.write(body, row, image_id="1", username="ada", captured_at=1_700_000_000_000).data


def mutants(count: int, seed: int = 24) -> Iterator[bytes]:
    """Yield all sources, then mutants of them; the same ones for the same seed."""
    chance = random.Random(seed)
    yield from sources()[:count]
    for _ in range(count - len(sources())):
        body = bytearray(chance.choice(sources()))
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            _mutate(body, chance)
        yield bytes(body)


def _mutate(body: bytearray, chance: random.Random) -> None:
    """Change a JPEG in one way; in its headers as often as in its picture."""
    end = len(body) if chance.random() < 0.5 else min(len(body), 700)
    place = chance.randrange(2, max(3, end))
    length = chance.choice((1, 2, 16, 200, 3000))
    match chance.randrange(8):
        case 0:
            del body[place:]
        case 1 | 2:
            body[place % len(body)] ^= 1 << chance.randrange(8)
        case 3:
            del body[place : place + length]
        case 4:
            body[place:place] = chance.randbytes(length)
        case 5:
            body[place : place + length] = bytes(len(body[place : place + length]))
        case 6:
            body += chance.randbytes(length)
        case _:  # a comment, or a segment that no reader knows
            marker = chance.choice((0xFE, 0xE5, 0xED))
            content = chance.randbytes(min(length, 3000))
            body[2:2] = bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def given_back(file: bytes, folder: Path) -> bytes:
    """Return the JPEG that djxl makes of a JPEG XL."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        packed, unpacked = Path(own, "a.jxl"), Path(own, "a.jpg")
        packed.write_bytes(file)
        ran = subprocess.run(
            ["djxl", packed, unpacked, "--quiet"], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return unpacked.read_bytes()


def check(count: int) -> Counter[str]:
    """Encode so many; return how many were stored, and why the others were not."""
    outcomes: Counter[str] = Counter()
    with (
        Codec(installed_encoder("auto")) as codec,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(usable_processors()) as threads,
    ):

        def outcome(body: bytes) -> str:
            try:
                file = codec.encode(body, effort=3, pixels=LARGEST**2, seconds=600)
            except JxlError as error:
                return error.reason
            assert given_back(file, Path(folder)) == body, "djxl gives back another JPEG"
            return "stored"

        outcomes.update(threads.map(outcome, mutants(count)))
    return outcomes


if __name__ == "__main__":
    if shutil.which("djxl") is None:
        sys.exit("djxl is not installed: it is the judge (Debian: libjxl-tools)")
    for name, number in check(int(sys.argv[1])).most_common():
        print(f"{number:>7,} {name}")  # noqa: T201  a program for people
