"""A viewer with two collections in a store, and a page of it in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mapillary_crawler.sandbox.process import Sandbox
from tests.browser import Visit, visited
from tests.crawling import SCRAPY, Crawling, images, manifest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

#: Three sequences along streets on three days, one of panoramas; some images without a time.
USER = {
    "username": "alice", "images": 90, "days": 2.5, "sequence_length": 30, "streets": 10,
    "panoramas": 0.4, "undated": 0.04, "missing_fields": 0.0, "newest": "2024-06-01T18:00:00Z",
}  # fmt: skip
NAME = "mapillary-alice-1024"
#: The same, of which a day's tar is missing.
DAMAGED = "mapillary-damaged-1024"


@dataclass
class Viewer:
    """A running viewer: the address it said, the store, and the folder that it saves into."""

    address: str
    store: Path
    saved: Path
    missing: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def number(self, row: Mapping[str, Any]) -> int:
        """Return an image's number in the viewer: its place in the manifest."""
        return 1 + self.rows.index(dict(row))

    def file(self, row: Mapping[str, Any]) -> tuple[str, bytes]:
        """Return an image's path in the tars and its bytes."""
        return next((n, body) for n, body in self.files.items() if Path(n).stem == row["id"])

    def of_sequence(self, *, panorama: bool) -> list[dict[str, Any]]:
        """Return the images of the first sequence that has panoramas, or none."""
        first = next(row for row in self.rows if row["is_pano"] is panorama)
        return [row for row in self.rows if row["sequence"] == first["sequence"]]

    @contextmanager
    def page(
        self, browser: Browser, place: Mapping[str, Any] = {}, **options: Any
    ) -> Iterator[ViewerPage]:
        """Open the viewer at a place: `c`, `at`, `image` and filters, as in its hash."""
        where = urlencode({"c": NAME, **place}, safe="/")
        with visited(browser, f"{self.address}#{where}", **options) as visit:
            page = ViewerPage(visit)
            page.settle()
            yield page


@dataclass
class ViewerPage:
    """The viewer's page, by what people see of it."""

    visit: Visit
    pending: list[Request] = field(default_factory=list)

    @property
    def page(self) -> Page:
        return self.visit.page

    @property
    def complaints(self) -> list[str]:
        """Return what the browser complains of, but for its own OpenGL in software."""
        return [each for each in self.visit.complaints if "GL Driver Message" not in each]

    def __post_init__(self) -> None:
        self.page.on("request", self._began)
        for ends in ("requestfinished", "requestfailed"):
            self.page.on(ends, self._ended)

    def _began(self, request: Request) -> None:
        self.pending.append(request)

    def _ended(self, request: Request) -> None:
        if request in self.pending:
            self.pending.remove(request)

    def settle(self) -> None:
        """Wait until everything that was asked for has come, and nothing more is asked for."""
        self.page.wait_for_load_state("networkidle")
        quiet = 0
        for _ in range(200):  # what is downloaded never ends
            self.page.wait_for_timeout(60)
            quiet = 0 if self.pending else quiet + 1
            if quiet == 5:
                break

    def said(self, place: str) -> str:
        """Return the text of an element."""
        return self.page.locator(place).inner_text().strip()

    def place(self) -> dict[str, str]:
        """Return what the hash says."""
        return dict(re.findall(r"[#&](\w+)=([^&]*)", self.page.evaluate("location.hash")))

    def view(self) -> tuple[float, float, float]:
        """Return zoom, latitude and longitude of the map."""
        zoom, latitude, longitude = map(float, self.place()["at"].split("/"))
        return zoom, latitude, longitude

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def click(self, place: str) -> None:
        """Click an element."""
        self.page.locator(place).click()
        self.settle()

    def middle(self, place: str = "#canvas") -> tuple[float, float]:
        """Return the middle of an element in the window."""
        box = self.page.locator(place).bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, place: str, right: float, down: float) -> None:
        """Drag from an element's middle."""
        x, y = self.middle(place)
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + right / 2, y + down / 2)
        mouse.move(x + right, y + down)
        mouse.up()
        self.settle()

    def pixels(self, place: str) -> bytes:
        """Return the picture of an element as a PNG."""
        return self.page.locator(place).screenshot()


@contextmanager
def viewing(
    folder: Path,
    user: Mapping[str, Any] = USER,
    photographs: Path | None = None,
    *,
    quality: str = "1024",
    seed: int = 4,
    damaged: bool = True,
) -> Iterator[Viewer]:
    """Archive the user alice, damage a copy, and run the viewer on both."""
    with Sandbox.running([user], seed=seed, photos=photographs) as sandbox:
        crawling = Crawling(folder / "store", sandbox)
        result = crawling.run(username="alice", quality=quality, timeout=600)
        assert result.code == 0, result.output
    whole = crawling.store / f"mapillary-alice-{quality}"
    missing = sorted(whole.glob("2024-*.tar"))[1].name
    if damaged:
        shutil.copytree(whole, crawling.store / DAMAGED)
        (crawling.store / DAMAGED / missing).unlink()
    saved = folder / "saved"
    crawling.environment["XDG_CACHE_HOME"] = str(folder / "cache")
    browse = [*SCRAPY, "browse", "--no-browser", "--port", "0", "--to", str(saved)]
    with crawling._started(browse) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("http://127.0.0.1:"):
                break
        assert line.startswith("http://127.0.0.1:"), said
        rows = manifest(whole / "metadata.jsonl.gz")
        yield Viewer(line.strip(), crawling.store, saved, missing, rows, images(whole))
