"""How soon the viewer opens a large collection, and answers a move of its map."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, build_opener

from bench import report
from bench.places import RESULTS
from bench.updating import processor
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DayState, StoredFile

_COLLECTION = Collection("bench")
_PAGE, _SEQUENCE, _SIZE = 2_000, 360, 400_000
_DAY, _BEGAN = 86_400_000, 1_420_070_400_000
_CITIES = 10
_MOVES = 40


def viewer(images: int) -> None:
    """Print how long it takes to make the index, to open it, and to answer moves of the map."""
    RESULTS.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="viewer-", dir=RESULTS))
    try:
        folder = place / "store" / _COLLECTION.name
        centres = _make(folder / LEDGER_PATH, images)
        made, _, _ = _opened(folder, place / "cache")
        opened, spent, moves = _opened(folder, place / "cache", centres)
        size = sum(path.stat().st_size for path in (place / "cache").rglob("*.sqlite"))
    finally:
        shutil.rmtree(place)
    report.line(
        f"Collection of {images:,} images: the index is made in {made:.0f} s, once, and has "
        f"{size / images:.0f} bytes an image; the page has its data {opened:.2f} s after the "
        f"command (wanted: 2 s); {spent:.2f} s of processor."
    )
    for what, (seconds, spent) in moves.items():
        report.line(
            f"{what}: median {1000 * median(seconds):.0f} ms, longest {1000 * max(seconds):.0f} ms "
            f"(wanted: 200 ms); {1000 * spent / len(seconds):.0f} ms of processor."
        )


def _make(path: Path, images: int) -> list[tuple[float, float]]:
    """Make the ledger of a collection of drives in some cities; return where those are."""
    generator = random.Random(1)
    centres = [(generator.uniform(-100, 140), generator.uniform(-35, 60)) for _ in range(_CITIES)]
    path.parent.mkdir(parents=True)
    ledger = Ledger(path)
    rows = _drives(generator, centres, images)
    digest, listed, cursor = hashlib.sha256().digest(), 0, None
    days: dict[str, list[int]] = {}
    while page := [row for _, row in zip(range(_PAGE), rows, strict=False)]:
        found = [listed_row(row, _COLLECTION) for row in page]
        following = f"made{listed}"
        ledger.listing.commit(cursor, following, [row for row in found if row])
        numbers = range(listed + 1, listed + len(page) + 1)
        ledger.images.save([StoredFile(n, "jpg", digest, digest, _SIZE) for n in numbers])
        for number, row in zip(numbers, found, strict=True):
            assert row
            days.setdefault(row.day, []).append(number)
        cursor, listed = following, listed + len(page)
    ledger.listing.commit(cursor, None, [])
    ledger.listing.close()
    for day, of_day in days.items():
        piece = ledger.pieces.start_tar(f"{day}.tar", day, 0)
        places = [(number, 512 + at * (_SIZE + 512)) for at, number in enumerate(of_day)]
        ledger.pieces.seal_tar(piece, places)
        ledger.days.set_state(day, DayState.SEALED)
        (path.parents[1] / f"{day}.tar").touch()
    ledger.facts.set(username=_COLLECTION.username, finished_at=0)
    ledger.close()
    return centres


def _drives(
    generator: random.Random, centres: list[tuple[float, float]], images: int
) -> Iterator[dict[str, Any]]:
    """Yield rows of drives that turn now and then, ten metres from image to image."""
    for number in range(images):
        sequence, at = divmod(number, _SEQUENCE)
        if at == 0:
            west, south = centres[sequence % _CITIES]
            longitude, latitude = west + generator.gauss(0, 0.08), south + generator.gauss(0, 0.08)
            heading, begins = generator.uniform(0, 360), _BEGAN + generator.randrange(4000) * _DAY
            camera = f"{generator.randrange(8)}"
        heading += generator.gauss(0, 3) + (90 if generator.random() < 0.02 else 0)
        latitude += 9e-5 * math.cos(math.radians(heading))
        longitude += 1.3e-4 * math.sin(math.radians(heading))
        place = {"type": "Point", "coordinates": [longitude, latitude]}
        yield {
            "id": str(10**14 + number * 7919),
            "captured_at": begins + at * 2_000,
            "sequence": f"sequence{sequence:014d}",
            "geometry": place,
            "computed_geometry": place,
            "computed_compass_angle": heading % 360,
            "make": "maker",
            "model": camera,
            "width": 4000,
            "height": 3000,
        }


def _opened(
    folder: Path, cache: Path, centres: list[tuple[float, float]] | None = None
) -> tuple[float, float, dict[str, tuple[list[float], float]]]:
    """Return the seconds until the page has the collection, all and of processor, and of moves."""
    began = time.monotonic()
    with _browsing(folder, cache) as (pid, address):
        base = address.partition("/?")[0]
        ask = build_opener(HTTPCookieProcessor(CookieJar()), ProxyHandler({}))
        with ask.open(address) as answer:
            answer.read()
        _seconds(ask, f"{base}/api/c/{folder.name}")
        seconds, spent = time.monotonic() - began, processor(pid)
        moves = _moves(ask, pid, f"{base}/api/c/{folder.name}", centres) if centres else {}
    return seconds, spent, moves


def _moves(
    ask: OpenerDirector, pid: int, address: str, centres: list[tuple[float, float]]
) -> dict[str, tuple[list[float], float]]:
    """Return the seconds of each move, and those of processor of all."""
    generator = random.Random(2)
    found = {}
    for name, zoom, more in (
        ("World, tracks", 2, ""), ("City, tracks", 11, ""), ("Street, tracks", 16, ""),
        ("World, images", 2, ""), ("City, images", 11, ""), ("Street, images", 17, ""),
        ("City, images of a camera", 11, "&camera=maker%203"),
        ("World, images of panoramas", 2, "&pano=1"),
        ("World, tracks of a year", 2, "&from=2019-01-01&to=2019-12-31"),
        ("World, images of a year", 2, "&from=2019-01-01&to=2019-12-31"),
    ):  # fmt: skip
        what = name.split(", ")[1].split()[0]
        before, seconds = processor(pid), []
        for _ in range(_MOVES):
            west, south = generator.choice(centres)
            wide = 1920 / 256 / 2**zoom * 360
            west = max(-180.0, west + generator.gauss(0, 0.05) - wide / 2)
            south = max(-85.0, south + generator.gauss(0, 0.05) - wide / 4)
            box = f"{west},{south},{min(180, west + wide)},{min(85, south + wide / 2)}"
            seconds.append(_seconds(ask, f"{address}/{what}?bbox={box}&zoom={zoom}{more}"))
        found[name] = (seconds, processor(pid) - before)
    return found


def _seconds(ask: OpenerDirector, address: str) -> float:
    began = time.monotonic()
    with ask.open(address) as answer:
        json.loads(answer.read())
    return time.monotonic() - began


@contextmanager
def _browsing(folder: Path, cache: Path) -> Iterator[tuple[int, str]]:
    """Give the process and the address of a viewer that runs while the context lasts."""
    command = [sys.executable, "-m", "mapillary_crawler", "browse", str(folder), "--no-browser"]
    with subprocess.Popen(
        [*command, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    ) as process:
        assert process.stdout
        try:
            address = next(line.strip() for line in process.stdout if re.match("http", line))
            yield process.pid, address
        finally:
            process.terminate()
