"""All tools on the same work, in alternation, and a table of medians and ratios."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import report
from bench.places import RESULTS
from bench.tools import USERNAME, Tool, bare
from bench.work import Measurement, Work, medians
from mapillary_crawler.sandbox.photographs import GENERATED, Photographs
from mapillary_crawler.sandbox.process import Sandbox

_COLUMNS = (
    "tool", "images/s, first to last", "ratio", "whole run, s", "start, s", "finish, s",
    "CPU s per 1,000", "ratio", "memory, MB",
)  # fmt: skip


def compare(work: Work, tools: Mapping[str, Tool], rounds: int) -> dict[str, dict[str, float]]:
    """Run each tool so many times, print the table, and return the medians.

    Ratios are to the first tool: how many times faster it is, and how much more it costs.
    """
    report.line(f"\n### {work}\n")
    measurements: dict[str, list[Measurement]] = {name: [] for name in tools}
    users = [{"username": USERNAME, "images": work.images, "panoramas": 0.2}]
    photos = _baseline_photographs() if work.baseline else None
    with Sandbox.running(users, faults=work.faults, photos=photos) as sandbox:
        warm_up(sandbox, work)
        for _ in range(rounds):
            for name, tool in tools.items():
                measurements[name].append(in_folder(tool, sandbox, work))
    found = {name: medians(each) for name, each in measurements.items()}
    report.table(_COLUMNS, _rows(found))
    return found


def in_folder(tool: Tool, sandbox: Sandbox, work: Work) -> Measurement:
    """Run a tool in a folder that is removed afterwards."""
    RESULTS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
    try:
        return tool(sandbox, work, folder)
    finally:
        shutil.rmtree(folder)


def warm_up(sandbox: Sandbox, work: Work) -> None:
    """Let the sandbox paint its photographs, which it does when they are first asked for."""
    sandbox.set_faults({"cdn": {"latency_ms": 0}, "api": {"latency_ms": 0}})
    in_folder(bare, sandbox, work)
    sandbox.set_faults(work.faults)
    sandbox.reset()


def _baseline_photographs() -> Path:
    """Return a folder of the sandbox's photographs; thumbs of a folder's are baseline JPEGs."""
    folder = RESULTS / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    photographs = Photographs()
    for number, photograph in enumerate(GENERATED):
        body = photographs.body(photograph, "2048", str(number), turned=False)
        (folder / f"{number}.jpg").write_bytes(body)
    return folder


def _rows(found: Mapping[str, Mapping[str, float]]) -> Sequence[Sequence[object]]:
    first = next(iter(found.values()))
    return [
        (
            name, each["rate"], each["rate"] / first["rate"], each["wall"], each["start"],
            each["finish"], each["cpu"], each["cpu"] / first["cpu"], each["memory"] / 1e6,
        )
        for name, each in found.items()
    ]  # fmt: skip
