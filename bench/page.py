"""What the page, the tracks and the table of a large collection cost."""

from __future__ import annotations

import hashlib
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import report
from bench.places import PROJECT, RESULTS
from mapillary_crawler.archive.finish.finishing import contents_of
from mapillary_crawler.archive.finish.views import write_views
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.layout import LEDGER_PATH, VIEWS, tar_name
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DayState, ListedRow, StoredFile
from mapillary_crawler.ledger.thread import LedgerHere

_COLLECTION = Collection("alice")
#: Images of a sequence and sequences of a day, about; rows of a page.
_SEQUENCE, _SEQUENCES_A_DAY, _PAGE = 360, 3, 2000
_LAST = 1_750_000_000_000
_YEARS = 11
_TOWNS = [
    (13.19, 55.70), (12.57, 55.68), (18.06, 59.33), (13.40, 52.52), (2.35, 48.86),
    (10.75, 59.91), (24.94, 60.17), (-3.70, 40.42), (-74.0, 40.71), (139.7, 35.69),
]  # fmt: skip
_CAMERAS = (("Apple", "iPhone 7"), ("GoPro", "HERO9 Black"), ("GoPro", "Max"))
#: Of all places those that are not computed (Graph API: often absent).
_RAW = 0.03
_TABLE = "images.parquet"
_JPEG = b"\xff\xd8" + bytes(8190)


def measure(images: int) -> None:
    """Print seconds, memory and sizes for a ledger of so many saved images, made up."""
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="page-", dir=RESULTS) as made:
        folder = Path(made)
        ledger_path = folder / LEDGER_PATH
        ledger_path.parent.mkdir()
        sequences = _make(ledger_path, images)
        done = {what: _run(folder, what) for what in ("nothing", "views", "table")}
        sizes = [(folder / name).stat().st_size / 1e6 for name in (*VIEWS, _TABLE)]
    report.line(
        f"{images:,} images in {sequences:,} sequences; memory before: "
        f"{done['nothing']['memory'] / 1e6:.0f} MB."
    )
    report.line(
        f"Page and tracks: {_told(done['views'])}; sequences.geojson {sizes[0]:.1f} MB "
        f"(wanted: 25), index.html {sizes[1]:.2f} MB (wanted: 0.6)."
    )
    report.line(f"GeoParquet: {_told(done['table'])}; {sizes[2]:.1f} MB (wanted: 40).")


def _told(done: dict[str, float]) -> str:
    return (
        f"{done['seconds']:.1f} s (wanted: 15), {done['cpu']:.1f} s of processor, "
        f"memory {done['memory'] / 1e6:.0f} MB"
    )


def _run(folder: Path, what: str) -> dict[str, float]:
    """Return seconds and bytes of a process of its own."""
    command = [sys.executable, "-m", "bench.page", str(folder), what]
    done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _write(folder: Path, what: str) -> None:
    """Write the page and the tracks, or the table, and print what that took."""
    ledger = Ledger(folder / LEDGER_PATH)
    work = Work(LedgerHere(ledger), folder, lambda: False, lambda _: None)
    work.make_scratch()
    contents = contents_of(ledger, _COLLECTION, tar=True)
    began, cpu = time.monotonic(), time.process_time()
    if what == "views":
        write_views(work, contents)
    elif what == "table":
        from mapillary_crawler.archive.export.parquet import (  # noqa: PLC0415  some 100 MB
            write_parquet,
        )

        with (folder / _TABLE).open("wb") as file:
            write_parquet(ledger, file)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds, used = time.monotonic() - began, time.process_time() - cpu
    ledger.close()
    print(json.dumps({"seconds": seconds, "cpu": used, "memory": memory}))


def _make(path: Path, images: int) -> int:
    """Make the ledger; return how many sequences it has."""
    ledger = Ledger(path, wal=False)
    ledger.database.execute("PRAGMA synchronous = OFF")
    rng = random.Random(1)
    listed = sequences = 0
    days: dict[str, list[int]] = {}
    page: list[ListedRow] = []
    for sequence, start, count in _sequences(rng, images):
        sequences += 1
        for row in _rows(rng, sequence, start, count):
            made = listed_row(row, _COLLECTION)
            assert made is not None
            page.append(made)
            days.setdefault(made.day, []).append(listed + len(page))
            if len(page) == _PAGE:
                listed = _commit(ledger, page, listed)
    if page:
        _commit(ledger, page, listed)
    ledger.listing.close()
    with ledger.database.transaction():
        for day, numbers in days.items():
            piece = ledger.pieces.start_tar(tar_name(day, 0), day, 0)
            ledger.pieces.written(piece, size=1, sha256=bytes(32), md5=bytes(16))
            places = ((number, 512 + 500_000 * place) for place, number in enumerate(numbers))
            ledger.pieces.seal_tar(piece, places)
            ledger.days.set_state(day, DayState.SEALED)
            ledger.samples.add(day, numbers[0], _JPEG)
    ledger.close()
    return sequences


def _commit(ledger: Ledger, page: list[ListedRow], listed: int) -> int:
    """Commit a page of saved images, and empty it; return how many are listed."""
    digest = hashlib.sha256().digest()
    cursor = f"page{listed}" if listed else None
    numbers = range(listed + 1, listed + len(page) + 1)
    ledger.listing.commit(cursor, f"page{numbers.stop - 1}", page)
    ledger.images.save([StoredFile(number, "jpg", digest, digest, 460_000) for number in numbers])
    page.clear()
    return numbers.stop - 1


def _sequences(rng: random.Random, images: int) -> Iterator[tuple[str, int, int]]:
    """Yield id, first capture time and images of each sequence, the newest first."""
    days = max(1, images // (_SEQUENCE * _SEQUENCES_A_DAY))
    step = _YEARS * 365 * 86_400_000 // days
    number = 0
    while images > 0:
        count = min(images, rng.randrange(_SEQUENCE // 3, _SEQUENCE * 5 // 3))
        day, at = divmod(number, _SEQUENCES_A_DAY)
        start = _LAST - day * step - at * 3_600_000
        yield f"{rng.getrandbits(120):022x}"[:22], start, count
        images -= count
        number += 1


def _rows(rng: random.Random, sequence: str, start: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a walk through a town, the newest first: turns, and 1 m of noise.

    As the service gives them: strictly by time, and numbers to the twelfth decimal.
    """
    longitude, latitude = rng.choice(_TOWNS)
    longitude, latitude = longitude + rng.gauss(0, 0.05), latitude + rng.gauss(0, 0.03)
    heading = rng.random() * math.tau
    make, model = rng.choice(_CAMERAS)
    for number in range(count):
        heading += rng.choice((-1.57, 1.57)) if rng.random() < 0.02 else rng.gauss(0, 0.01)
        longitude += 8e-5 * math.cos(heading)
        latitude += 5e-5 * math.sin(heading)
        row = {
            "altitude": round(rng.random() * 100, 3),
            "atomic_scale": 1.0,
            "camera_parameters": [0.85, 0.01, 0.001],
            "camera_type": "perspective",
            "captured_at": start - number * 2000,
            "compass_angle": round(math.degrees(heading) % 360, 2),
            "computed_altitude": round(rng.random(), 12),
            "computed_compass_angle": round(math.degrees(heading + rng.random()) % 360, 12),
            "computed_geometry": _place(rng, longitude, latitude),
            "computed_rotation": [round(rng.random(), 13) for _ in range(3)],
            "creator": {"username": "alice", "id": "100000000000001"},
            "exif_orientation": 1,
            "geometry": _place(rng, longitude, latitude),
            "height": 3024,
            "is_pano": model == "Max",
            "make": make,
            "merge_cc": 123456789012345,
            "model": model,
            "quality_score": round(rng.random(), 13),
            "sequence": sequence,
            "width": 4032,
            "id": str(rng.randrange(10**14, 10**16)),
        }
        if rng.random() < _RAW:
            row = {name: value for name, value in row.items() if name[:8] != "computed"}
        yield row


def _place(rng: random.Random, longitude: float, latitude: float) -> dict[str, Any]:
    coordinates = [rng.gauss(longitude, 1e-5), rng.gauss(latitude, 1e-5)]
    return {"type": "Point", "coordinates": [round(each, 12) for each in coordinates]}


if __name__ == "__main__":
    _write(Path(sys.argv[1]), sys.argv[2])
