"""The comparison: `python -m bench [--quick] [--only PART] [--set NAME=VALUE]`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import (
    cores,
    encoding,
    jxl,
    memory,
    metadata,
    page,
    queueing,
    report,
    resume,
    sealing,
    throttling,
    updating,
    viewer,
)
from bench.comparison import compare
from bench.tools import bare, crawler, peer
from bench.work import Work

#: Workers at which the other tool was fastest.
_BEST_WORKERS = 64


@dataclass(frozen=True)
class Scope:
    """How much is measured."""

    rounds: int
    images: int
    seconds: float
    settled: int
    grown: tuple[int, int]


_QUICK = Scope(rounds=1, images=1000, seconds=45, settled=100_000, grown=(2_000, 10_000))
_USUAL = Scope(rounds=3, images=5000, seconds=90, settled=1_000_000, grown=(20_000, 200_000))


def network(scope: Scope, settings: list[str]) -> None:
    """Print the tables with latency, where the number in flight decides."""
    report.heading("Latency")
    ours, best = crawler(settings), peer(_BEST_WORKERS)
    tools = {
        "mapillary_crawler": ours,
        f"mapillary-downloader, {_BEST_WORKERS} workers": best,
        "bare aiohttp loop, 64": bare,
    }
    shipped = {"mapillary_crawler": ours, "mapillary-downloader, as shipped": peer()}
    for work, beside, rounds in (
        (Work(scope.images, "1024", 100), tools, scope.rounds),
        (Work(scope.images, "1024", 100), shipped, 1),
        (Work(scope.images, "1024", 20), tools, scope.rounds),
        (Work(scope.images, "1024", 20, baseline=True), tools, scope.rounds),
        (Work(scope.images, "256", 100), tools, 1),
        (Work(scope.images, "256", 20), tools, 1),
        (Work(scope.images // 3, "2048", 100), tools, 1),
        (Work(scope.images // 3, "2048", 20), tools, 1),
    ):
        compare(work, beside, rounds)


def processor(scope: Scope, settings: list[str]) -> None:
    """Print the tables without latency, where the cost of an image decides."""
    report.heading("No latency")
    tools = {
        "mapillary-downloader, as shipped": peer(),
        "mapillary_crawler": crawler(settings),
        "bare aiohttp loop, 64": bare,
    }
    compare(Work(scope.images * 6 // 5, "256", 0), tools, scope.rounds)
    for quality, images in (("1024", scope.images // 2), ("2048", scope.images // 5)):
        compare(Work(images, quality, 0), tools, 1)


def webp(scope: Scope, settings: list[str]) -> None:
    """Print the table of WebP."""
    report.heading("WebP")
    if not encoding.can_encode():
        report.line("cwebp is not installed: left out.")
        return
    tools = {"mapillary_crawler": crawler(settings)}
    for quality, images, rounds in (
        ("1024", scope.images // 5, scope.rounds),
        ("256", scope.images // 5, 1),
        ("2048", scope.images // 25, 1),
    ):
        encoding.compare_encoding(Work(images, quality, 0, webp=True), tools, rounds)
    shipped = {**tools, "mapillary-downloader, as shipped": peer()}
    compare(Work(scope.images // 20, "1024", 0, webp=True), shipped, 1)


def jpeg_xl(scope: Scope, settings: list[str]) -> None:
    """Print what JPEG XL saves and costs, and its tables."""
    report.heading("JPEG XL")
    kinds = jxl.kinds()
    if not kinds:
        report.line("neither pylibjxl nor cjxl is installed: left out.")
        return
    if "pylibjxl" in kinds:
        jxl.savings(max(4, scope.images // 250))
    for kind in kinds:
        tools = {"mapillary_crawler": crawler([*settings, f"JXL_ENCODER={kind}"])}
        for quality, images, rounds in (
            ("1024", scope.images // 5, scope.rounds),
            ("256", scope.images // 5, 1),
            ("2048", scope.images // 25, 1),
        ):
            work = Work(images, quality, 0, jxl=True)
            jxl.compare_encoding(work, kind, tools, rounds)


def throttle(scope: Scope, _: list[str]) -> None:
    """Print what the throttle reaches; settings do not apply, since it is what is measured."""
    report.heading("Throttle")
    throttling.knee(16, scope.seconds)
    throttling.ceiling(24, scope.seconds)
    throttling.recovery(scope.seconds)


def start(scope: Scope, _: list[str]) -> None:
    """Print how a large collection is resumed, and updated."""
    report.heading("Resume and update")
    resume.resume(scope.settled)
    updating.update(scope.settled)


def held(scope: Scope, settings: list[str]) -> None:
    """Print what memory a crawl holds."""
    report.heading("Memory")
    memory.peaks(max(100, scope.images // 25), settings)
    memory.growth(*scope.grown, settings)


def views(scope: Scope, _: list[str]) -> None:
    """Print what page, tracks and table of a large collection cost."""
    report.heading("Page, tracks and table")
    page.measure(scope.settled)


def steps(scope: Scope, _: list[str]) -> None:
    """Print what single steps cost: EXIF and XMP, and a day's way into a tar."""
    report.heading("Metadata and sealing")
    metadata.main([])
    with tempfile.TemporaryDirectory() as folder:
        sealing.measure(Path(folder), 2000, 120_000, scope.rounds)


def several(scope: Scope, settings: list[str]) -> None:
    """Print what several processes fetch of one user."""
    report.heading("Several processes")
    # No multiple of a page: the sandbox has an empty one then, which is doubted for seven seconds.
    images = 2 * scope.images + 10
    cores.held(images, 1, settings)
    cores.free(images, scope.rounds, settings, _BEST_WORKERS)


def browse(scope: Scope, _: list[str]) -> None:
    """Print how soon the viewer opens a large collection, and answers."""
    report.heading("Viewer")
    viewer.viewer(scope.settled)


def queue(_: Scope, __: list[str]) -> None:
    """Print what the queue of several machines costs."""
    queueing.queueing(2_000)


_PARTS: dict[str, Callable[[Scope, list[str]], None]] = {
    "network": network, "processor": processor, "webp": webp, "jxl": jpeg_xl, "throttle": throttle,
    "resume": start, "memory": held, "steps": steps, "page": views,
    "cores": several,
    "viewer": browse,
    "queue": queue,
}  # fmt: skip


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_const", const=_QUICK, dest="scope",
                       help="a few minutes, one round; figures scatter")  # fmt: skip
    parser.add_argument("--only", choices=_PARTS, nargs="+", default=list(_PARTS))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="a setting for our crawls, as scrapy's -s takes it")  # fmt: skip
    given = parser.parse_args()
    report.line(f"{report.machine()}.")
    for name in given.only:
        _PARTS[name](given.scope or _USUAL, given.set)


if __name__ == "__main__":
    main()
