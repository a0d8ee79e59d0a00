"""What EXIF and XMP cost a JPEG of 1024 pixels; the aim is below 1 ms together.

    python -m bench.metadata [JPEG …]

Without files, a picture of about 90 KB is made. Times are of processor, the best of
five rounds, so that other work on the machine counts little.
"""

from __future__ import annotations

import sys
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mapillary_crawler.image import exif, xmp

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, IMAGES = 5, 400
#: As the Graph API lists an image.
ROW: dict[str, Any] = {
    "altitude": 1364.617,
    "camera_type": "spherical",
    "captured_at": 1563721072184,
    "compass_angle": 336.74,
    "computed_compass_angle": 1.2865829255371,
    "computed_geometry": {"type": "Point", "coordinates": [-108.57081597085, 39.068354912098]},
    "geometry": {"type": "Point", "coordinates": [-108.57081597222, 39.068354972222]},
    "make": "GoPro",
    "model": "HERO7 Black",
    "sequence": "7nfcwfvjdtphz7yj6zat6a",
}
CAPTURED_AT = 1563721072184


def made_up() -> bytes:
    """Return a progressive JPEG of 1024 x 512 pixels."""
    noise = Image.effect_noise((1024, 512), 20).convert("RGB")
    output = BytesIO()
    noise.save(output, "JPEG", quality=60, progressive=True)
    return output.getvalue()


def milliseconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(IMAGES):
            work()
        best = min(best, time.process_time() - started)
    return best / IMAGES * 1000


def main(paths: list[str]) -> None:
    """Print a line per file."""
    files = {path: Path(path).read_bytes() for path in paths} or {"made up": made_up()}
    print(f"{'file':40} {'bytes':>9} {'EXIF ms':>8} {'XMP ms':>8} {'together':>8}")
    for name, served in files.items():

        def write_exif(served: bytes = served) -> bytes:
            return exif.write(served, ROW, captured_at=CAPTURED_AT, username="ada").data

        with_exif = write_exif()

        def write_xmp(data: bytes = with_exif) -> bytes:
            return xmp.write(data, ROW, image_id="1", username="ada", captured_at=CAPTURED_AT).data

        one, two = milliseconds(write_exif), milliseconds(write_xmp)
        print(f"{Path(name).name:40} {len(served):9} {one:8.3f} {two:8.3f} {one + two:8.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
