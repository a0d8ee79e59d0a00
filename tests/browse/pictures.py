"""Pictures of the viewer for docs/: `python -m tests.browse.pictures`, of some minutes.

A user of the sandbox is archived, whose photographs are streets that are nowhere (streets.py), and
the viewer is looked at in Chromium.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests import browser
from tests.browse import streets
from tests.browse.viewing import NAME, Viewer, ViewerPage, viewing
from tests.crawling import PROJECT

FOLDER = PROJECT / "docs" / "pictures"
#: Bytes that a picture has at most, and colours, fewer where it has more.
_MOST, _COLOURS = 250_000, (256, 192, 128, 96, 64)
#: All pictures are there that are not below what is seen.
_ALL = "[...document.images].every((one) => !one.src || one.loading === 'lazy' || one.complete)"
_USER = {
    "username": "alice", "images": 1200, "days": 1400, "sequence_length": 30, "streets": 11,
    "panoramas": 0.2, "missing_fields": 0.0, "newest": "2024-05-31T18:00:00Z",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """What a picture shows: a photograph or a panorama is open, or none; in which window."""

    name: str
    width: int
    opens: bool | None = None
    dark: bool = False
    zoom: float = 16.6
    does: Callable[[ViewerPage], None] | None = None


def _turned(page: ViewerPage) -> None:
    page.press("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")


def _asked(page: ViewerPage) -> None:
    page.click("#download-open")
    # As long as the folder that is made for it.
    said = "document.getElementById('download-save').textContent"
    page.page.evaluate(f"{said} = 'Save into /home/alice/pictures'")


def _listed(page: ViewerPage) -> None:
    page.click("#side-toggle")


PICTURES = (
    Picture("viewer-map", 1920),
    Picture("viewer-image", 1024, opens=False),
    Picture("viewer-panorama", 1024, opens=True, dark=True, does=_turned),
    Picture("viewer-download", 1024, opens=False, dark=True, does=_asked),
    Picture("viewer-narrow", 360, opens=False),
    Picture("viewer-narrow-list", 360, dark=True, does=_listed),
)


def main() -> None:
    """Write the pictures that are named, or all."""
    wanted = [each for each in PICTURES if each.name in sys.argv[1:] or not sys.argv[1:]]
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, browser.running() as chromium:
        folder = Path(place)
        photographs = folder / "photographs"
        photographs.mkdir()
        streets.write(photographs)
        with viewing(folder, _USER, photographs, quality="2048", seed=1, damaged=False) as viewer:
            for picture in wanted:
                with viewer.page(
                    chromium, _place(viewer, picture), width=picture.width, dark=picture.dark
                ) as page:
                    page.page.wait_for_function(_ALL)
                    if picture.does:
                        picture.does(page)
                    page.settle()
                    _write(FOLDER / f"{picture.name}.png", page.page.screenshot())


def _place(viewer: Viewer, picture: Picture) -> dict[str, str]:
    if picture.opens is None:
        return {"c": NAME.replace("1024", "2048")}
    row = viewer.of_sequence(panorama=picture.opens)[20]
    longitude, latitude = row["computed_geometry"]["coordinates"]
    return {
        "c": NAME.replace("1024", "2048"),
        "at": f"{picture.zoom}/{latitude}/{longitude}",
        "image": str(viewer.number(row)),
    }


def _write(path: Path, png: bytes) -> None:
    """Write a picture in so few colours that it is small enough."""
    for colours in _COLOURS:
        target = io.BytesIO()
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        picture.quantize(colours, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
        if target.tell() <= _MOST:
            break
    path.write_bytes(target.getvalue())
    print(path.relative_to(PROJECT), f"{target.tell():,} bytes, {colours} colours")  # noqa: T201


if __name__ == "__main__":
    main()
