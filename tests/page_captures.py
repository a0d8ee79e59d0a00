"""Pictures of the page, for docs/: `python -m tests.page_captures`.

The page is that of a made-up user; its pictures are the sandbox's.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from mapillary_crawler.archive.finish.pictures import reduced
from mapillary_crawler.archive.page.contents import PageContents
from mapillary_crawler.sandbox.catalogue import Catalogue
from tests.archive.page.contents_made import contents, written
from tests.browser import running, visited
from tests.crawling import PROJECT

FOLDER = PROJECT / "docs" / "captures"
#: Name, width, whether dark, and from which pixel on to which.
CAPTURES = (
    ("page-1024", 1024, False, 0, 1500),
    ("page-1024-below", 1024, False, 1500, 2400),
    ("page-1920-dark", 1920, True, 0, 1700),
    ("page-360", 360, False, 0, 1500),
    ("page-360-dark", 360, True, 0, 1500),
)
MOST_BYTES = 150_000


def captured(width: int, dark: bool, top: int, bottom: int) -> bytes:
    """Return a part of the page as a PNG of few colours."""
    with (
        tempfile.TemporaryDirectory() as place,
        running() as browser,
        visited(browser, _page(Path(place)), width=width, dark=dark) as visit,
    ):
        visit.page.wait_for_selector("#map:not([hidden])")
        visit.page.wait_for_timeout(300)
        clip = {"x": 0, "y": top, "width": width, "height": bottom - top}
        png = visit.page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if width > 1024:
        picture.thumbnail((1280, 4000))
    packed = io.BytesIO()
    picture.quantize(96).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _page(folder: Path) -> Path:
    path = folder / "index.html"
    path.write_text(written(_contents()), "utf-8")
    return path


def _contents() -> PageContents:
    """Return what the page says, with the sandbox's pictures."""
    made = contents(sequences=420, towns=1)
    catalogue = Catalogue([{"username": "alice", "images": 400}], seed=5)
    images = list(catalogue.user("alice").images())[:: 400 // len(made.pictures)]
    bodies = (reduced(catalogue.body(image, "256")) for image in images)
    pairs = zip(made.pictures, bodies, strict=False)
    return replace(made, pictures=tuple(replace(one, jpeg=body or b"") for one, body in pairs))


def main() -> None:
    """Write all pictures anew."""
    for name, width, dark, top, bottom in CAPTURES:
        png = captured(width, dark, top, bottom)
        assert len(png) <= MOST_BYTES, (name, len(png))
        (FOLDER / f"{name}.png").write_bytes(png)


if __name__ == "__main__":
    main()
