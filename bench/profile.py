"""Where a crawl spends its time: `python -m bench.profile [--images N] [--quality Q]`.

Leaves bench/results/crawl.prof for any reader of cProfile's files, and prints the functions
of the reactor's thread that cost most. The profiler itself about doubles the time.
"""

from __future__ import annotations

import argparse
import pstats
from pathlib import Path

from bench.comparison import in_folder
from bench.measured import run
from bench.places import RESULTS
from bench.tools import USERNAME, crawl_command, crawl_environment
from bench.work import Measurement, Work, measurement
from mapillary_crawler.sandbox.process import Sandbox

_PROFILE = RESULTS / "crawl.prof"
_SHOWN = 60


def profiled(sandbox: Sandbox, work: Work, folder: Path) -> Measurement:
    """Crawl under Scrapy's `--profile`."""
    command = [*crawl_command(work.quality), "-atar=0", "--profile", _PROFILE]
    return measurement(run("profile", command, crawl_environment(sandbox, folder)), folder, work)


def main() -> None:
    """Crawl, and print by own time and by time with what was called."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--quality", default="256")
    given = parser.parse_args()
    work = Work(given.images, given.quality, 0)
    with Sandbox.running([{"username": USERNAME, "images": work.images}]) as sandbox:
        in_folder(profiled, sandbox, work)
    report = pstats.Stats(str(_PROFILE)).strip_dirs()
    for order in ("tottime", "cumtime"):
        report.sort_stats(order).print_stats(_SHOWN)
    print(f"{_PROFILE} holds it all")


if __name__ == "__main__":
    main()
