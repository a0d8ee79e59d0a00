"""WebP: the crawl beside `xargs cwebp` over the same files, which is the machine's limit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench import report
from bench.comparison import compare
from bench.measured import Run, run
from bench.tools import Tool, bare
from bench.work import Measurement, Work, measurement
from mapillary_crawler.sandbox.process import Sandbox

#: As the crawl tells cwebp, so that both do the same.
_CWEBP = "-metadata all -q 75 -m 4 -quiet"


def limit(sandbox: Sandbox, work: Work, folder: Path) -> Measurement:
    """Fetch the files, which is not timed, then encode them with as many cwebp as processors."""
    served, encoded = folder / "served", folder / "encoded"
    served.mkdir()
    encoded.mkdir()
    bare(sandbox, work, served)
    script = f'cwebp {_CWEBP} "$1" -o {encoded}/"$(basename "$1" .jpg)".webp'
    command = f"ls {served}/*.jpg | xargs -P{os.cpu_count()} -n1 sh -c '{script}' cwebp"
    done: Run = run("xargs-cwebp", ["sh", "-c", command], os.environ)
    for path in served.iterdir():
        path.unlink()
    return measurement(done, encoded, work)


def compare_encoding(work: Work, tools: Mapping[str, Tool], rounds: int) -> None:
    """Print the table, and how near the crawl comes to the limit over the same files."""
    found = compare(work, {**tools, f"xargs -P{os.cpu_count()} cwebp": limit}, rounds)
    ours, theirs = next(iter(found.values())), list(found.values())[-1]
    report.line(
        f"\n{ours['rate'] / theirs['rate']:.2f} of the limit while images come, "
        f"{theirs['wall'] / ours['wall']:.2f} with start and finish; wanted: 0.93."
    )


def can_encode() -> bool:
    """Say whether cwebp is installed."""
    return not subprocess.run(["which", "cwebp"], capture_output=True, check=False).returncode
