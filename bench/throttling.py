"""The throttle against servers with a knee, with a ceiling, and with one that recovers."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import report
from bench.measured import run
from bench.places import RESULTS
from bench.tools import USERNAME, crawl_command, crawl_environment
from mapillary_crawler.sandbox.process import Sandbox

#: More images than any of the runs below can fetch; listing them is over after some seconds.
_IMAGES = 60_000
_LATENCY = 100


@dataclass(frozen=True)
class Look:
    """What the sandbox had counted at a time, in seconds since the first image request."""

    at: float
    good: int
    refused: int
    in_flight: int


def knee(at: int, seconds: float) -> None:
    """Print what the throttle reaches where latency grows linearly above `at` in flight."""
    faults = {"cdn": {"latency_ms": _LATENCY, "knee": at, "knee_ms": 4 * _LATENCY / at}}
    fixed = {count: _fixed(faults, count, seconds / 3) for count in _around(at)}
    looks = observe(faults, seconds)
    settled = [look for look in looks if look.at >= 30] or looks[len(looks) // 2 :]
    best = max(fixed, key=lambda count: fixed[count])
    report.line(f"\n### A knee at {at} in flight\n")
    rows = [(f"fixed at {count}", rate, rate / fixed[best], "") for count, rate in fixed.items()]
    rate = _rate(settled)
    flights = max(look.in_flight for look in settled)
    rows.append(("the throttle, after 30 s", rate, rate / fixed[best], str(flights)))
    report.table(("concurrency", "images/s", "of the best", "most in flight"), rows)
    report.line(f"\nWanted: 0.90 of the best with at most {1.5 * at:.0f} in flight.")


def ceiling(at: int, seconds: float) -> None:
    """Print what the throttle reaches where more than `at` in flight are answered with 429."""
    faults = {"cdn": {"latency_ms": _LATENCY, "ceiling": at, "retry_after": 1}}
    best = _fixed(faults, at, seconds / 3)
    settled = [look for look in observe(faults, seconds) if look.at >= 20]
    answers = settled[-1].good - settled[0].good
    refused = settled[-1].refused - settled[0].refused
    rate = _rate(settled)
    report.line(
        f"\nA ceiling of {at}: {rate:.0f} images/s after 20 s, {rate / best:.2f} of the {best:.0f} "
        f"at exactly {at} (wanted: 0.85); {refused / max(1, answers + refused):.2%} of the "
        "answers are 429 (wanted: below 1 %)."
    )


def recovery(seconds: float) -> None:
    """Print how soon the rate is back after half a minute in which the server was slow."""
    well, ill = {"latency_ms": _LATENCY, "ceiling": 0}, {"latency_ms": 20 * _LATENCY, "ceiling": 20}
    ill_from, ill_until = seconds / 3, seconds / 3 + 30

    def change(sandbox: Sandbox, at: float) -> None:
        sandbox.set_faults({"cdn": ill if ill_from <= at < ill_until else well})

    looks = observe({"cdn": well}, ill_until + 60, change)
    before = _rate([look for look in looks if ill_from / 2 <= look.at < ill_from])
    after = [look for look in looks if look.at >= ill_until]
    found = next(
        (
            late.at - ill_until
            for early, late in zip(after, after[5:], strict=False)
            if _rate([early, late]) >= 0.9 * before
        ),
        None,
    )
    told = "not found again" if found is None else f"found again after {found:.0f} s"
    report.line(f"\nA server that recovers: {before:.0f} images/s before, {told} (wanted: 60 s).")


def observe(
    faults: dict[str, Any],
    seconds: float,
    change: Callable[[Sandbox, float], None] = lambda *_: None,
    settings: Sequence[str] = (),
) -> list[Look]:
    """Crawl for so many seconds from the first image request on; return a look a second."""
    looks: list[Look] = []
    began = 0.0
    RESULTS.mkdir(exist_ok=True)
    store = Path(tempfile.mkdtemp(prefix="throttle-", dir=RESULTS))
    try:
        with Sandbox.running([{"username": USERNAME, "images": _IMAGES}], faults=faults) as sandbox:

            def enough(_: int) -> bool:
                nonlocal began
                now = time.monotonic()
                if looks and now - began - looks[-1].at < 1:
                    return False
                counted = sandbox.counters()
                answers = counted["answers"]
                if not began and counted["requests"].get("cdn"):
                    began = now
                if began:
                    looks.append(
                        Look(
                            now - began,
                            answers.get("cdn 200", 0),
                            answers.get("cdn 429", 0),
                            counted["in_flight"]["cdn"],
                        )
                    )
                    change(sandbox, now - began)
                return bool(began) and now - began > seconds

            command = crawl_command("256", settings)
            run("throttle", command, crawl_environment(sandbox, store), enough)
    finally:
        shutil.rmtree(store)
    return looks


def _fixed(faults: dict[str, Any], concurrency: int, seconds: float) -> float:
    """Return the images a second at a fixed concurrency."""
    looks = observe(faults, seconds, settings=[f"MAPILLARY_CONCURRENCY_FIXED={concurrency}"])
    return _rate(looks[len(looks) // 3 :])


def _rate(looks: Sequence[Look]) -> float:
    """Return the median of the images a second over windows of some seconds."""
    step = min(5, len(looks) - 1)
    if step < 1:
        return 0.0
    pairs = zip(looks, looks[step:], strict=False)
    return median((late.good - early.good) / (late.at - early.at) for early, late in pairs)


def _around(knee: int) -> list[int]:
    return [max(1, knee // 2), knee * 3 // 4, knee, knee * 5 // 4, knee * 3 // 2, knee * 2]
