"""Crawls that a signal, SIGKILL mostly, meets in a phase of their own choice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mapillary_crawler.collection.layout import LEDGER_PATH
from tests.crawling import Crawling

#: Seconds between two looks at the files, and those that a run may take.
_LOOK, _LONGEST = 0.001, 240


@dataclass
class Run:
    """A crawl in a process, with the lines that it has printed so far."""

    process: subprocess.Popen[str]
    staging: Path
    destination: Path
    lines: list[str] = field(default_factory=list)
    #: Monotonic times of the signal and of the end.
    met_at: float = 0.0
    ended_at: float = 0.0

    @property
    def seconds_to_end(self) -> float:
        """Seconds from the signal to the end."""
        return self.ended_at - self.met_at

    def printed(self, words: str) -> int:
        """Return how many lines hold these words."""
        return sum(words in line for line in self.lines)

    def stored(self) -> int:
        """Return how many images are saved, in a tar or not; 0 while nobody can tell."""
        address = f"{(self.staging / LEDGER_PATH).as_uri()}?mode=ro"
        with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as ledger:
            saved = "SELECT sum(images) FROM balance WHERE state IN (1, 2)"
            return int(ledger.execute(saved).fetchone()[0] or 0)
        return 0

    def read(self, output: IO[str]) -> None:
        """Keep what the process prints."""
        self.lines.extend(output)


Sign = Callable[[Run], bool]


@dataclass(frozen=True)
class Moment:
    """A phase: the sign that it has begun, and the seconds within which the signal comes then."""

    phase: str
    sign: Callable[[Run, random.Random], Sign]
    seconds: float


def _some_images(run: Run, chance: random.Random) -> Sign:
    wanted = run.stored() + chance.randrange(1, 100)
    return lambda run: run.stored() >= wanted


def _line(words: str, most: int = 1) -> Callable[[Run, random.Random], Sign]:
    def sign(run: Run, chance: random.Random) -> Sign:
        times = chance.randint(1, most)
        return lambda run: run.printed(words) >= times

    return sign


def _copying(run: Run, chance: random.Random) -> Sign:
    incoming = run.destination.with_name(f".incoming-{run.destination.name}")
    wanted = chance.randrange(1, 25)
    return lambda run: incoming.exists() and sum(1 for _ in incoming.iterdir()) >= wanted


#: All phases, in the order in which a crawl goes through them.
MOMENTS = (
    Moment("starting", lambda run, chance: lambda run: True, 1.5),
    Moment("listing", _line("Listed", 4), 0.1),
    Moment("fetching", _some_images, 0.3),
    Moment("encoding", _some_images, 0.3),
    Moment("sealing beside", _line("[mapillary_crawler.crawl.sealing] INFO: sealing", 3), 0.1),
    Moment("sealing", _line("sealing day", 3), 0.05),
    Moment("manifests", _line("writing the manifests"), 0.05),
    Moment("moving", _copying, 0.02),
    Moment("in the store", lambda run, chance: lambda run: run.destination.exists(), 0.01),
)


def crawl(
    crawling: Crawling,
    name: str,
    *options: str,
    moment: Moment | None,
    chance: random.Random,
    number: signal.Signals = signal.SIGKILL,
    **arguments: Any,
) -> Run:
    """Run the command, and send it a signal in the phase given unless it ends before."""
    staging = Path(crawling.environment.get("MAPILLARY_STAGING", crawling.store / ".incomplete"))
    with crawling.started(*options, **arguments) as process:
        run = Run(process, staging / name, crawling.store / name)
        assert process.stdout is not None
        reading = threading.Thread(target=run.read, args=(process.stdout,))
        reading.start()
        try:
            if moment is not None:
                _meet(run, moment, chance, number)
            process.wait(_LONGEST)
            run.ended_at = time.monotonic()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            reading.join()
    return run


def _meet(run: Run, moment: Moment, chance: random.Random, number: signal.Signals) -> None:
    sign = moment.sign(run, chance)
    until = time.monotonic() + _LONGEST
    while run.process.poll() is None and time.monotonic() < until:
        if sign(run):
            time.sleep(chance.uniform(0, moment.seconds))
            run.met_at = time.monotonic()
            os.killpg(run.process.pid, number)
            return
        time.sleep(_LOOK)
