"""How much memory a crawl holds, and whether that grows with the number of images."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import report
from bench.comparison import in_folder
from bench.measured import resident, run
from bench.places import RESULTS
from bench.tools import USERNAME, crawl_command, crawl_environment, crawler
from bench.work import Work
from mapillary_crawler.sandbox.process import Sandbox

#: Quality, whether WebP, and the megabytes that are wanted at most.
_BOUNDS = (
    ("2048", False, 250),
    ("2048", True, 250),
    ("original", False, 500),
    ("original", True, 500),
)
#: Seconds between two looks.
_LOOK = 1.0


def peaks(images: int, settings: list[str]) -> None:
    """Print the peak memory at the sizes and kinds that cost most."""
    rows = []
    for quality, webp, bound in _BOUNDS:
        work = Work(images, quality, 0, webp)
        users = [{"username": USERNAME, "images": images, "panoramas": 0.2}]
        with Sandbox.running(users) as sandbox:
            done = in_folder(crawler(settings, name="memory"), sandbox, work)
        rows.append((str(work), done.run.memory / 1e6, bound, done.rate))
    report.table(("work", "peak, MB", "wanted, MB", "images/s"), rows)


def growth(first: int, last: int, settings: list[str]) -> None:
    """Print how many bytes an image adds between the first and the last of these counts."""
    users = [{"username": USERNAME, "images": last + first}]
    seen: list[tuple[int, int]] = []
    looked = 0.0
    RESULTS.mkdir(exist_ok=True)
    store = Path(tempfile.mkdtemp(prefix="growth-", dir=RESULTS))
    try:
        with Sandbox.running(users) as sandbox:

            def enough(pid: int) -> bool:
                nonlocal looked
                if time.monotonic() - looked < _LOOK:
                    return False
                looked = time.monotonic()
                fetched = sandbox.counters()["answers"].get("cdn 200", 0)
                seen.append((fetched, resident(pid)))
                return bool(fetched >= last)

            run("growth", [*crawl_command("256", settings), "-atar=0"],
                crawl_environment(sandbox, store), enough)  # fmt: skip
    finally:
        shutil.rmtree(store)
    tenth = (last - first) / 10
    before = median(held for fetched, held in seen if first <= fetched <= first + tenth)
    after = median(held for fetched, held in seen if fetched >= last - tenth)
    report.line(
        f"\nFrom {first:,} to {last:,} images: {before / 1e6:.1f} to {after / 1e6:.1f} MB, "
        f"{(after - before) / (last - first - tenth):.0f} bytes per image (wanted: 100)."
    )
