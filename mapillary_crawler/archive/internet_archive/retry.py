"""Trying again: what is transient is waited for, as long as patience lasts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from mapillary_crawler.archive.internet_archive.trouble import StillUnavailable, Unavailable
from mapillary_crawler.graph.backoff import retry_after

_Result = TypeVar("_Result")

#: The longest wait, as a multiple of the first one.
_LONGEST = 60


@dataclass
class Retry:
    """Waits `wait` seconds after a first failure, twice as long after each further one.

    `patience` is how many seconds a thing may fail before it is given up; `say` hears of each
    failure. Waits vary by a quarter, so that uploads that failed together do not come back so.
    """

    wait: float
    patience: float
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    random: Random = field(default_factory=Random)

    def __call__(self, what: str, work: Callable[[], _Result]) -> _Result:
        """Return what `work` returns; raises `StillUnavailable`, or what it raises otherwise."""
        began, failures = self.clock(), 0
        while True:
            try:
                return work()
            except Unavailable as failure:
                away = self.clock() - began
                if away >= self.patience:
                    raise StillUnavailable(
                        f"{what}: archive.org stayed unavailable for {away:.0f} s ({failure})"
                    ) from None
                asked = retry_after(failure.retry_after, time.time()) or 0.0
                # However long it asks for: patience ends with one more try.
                wait = min(max(self.delay(failures), asked), self.patience - away)
                failures += 1
                self.say(f"{what}: {failure}; trying again in {wait:.0f} s")
                self.sleep(wait)

    def pause(self, count: int) -> None:
        """Wait as after so many failures, for what takes its time."""
        self.sleep(self.delay(count))

    def delay(self, failures: int) -> float:
        """Return how long is waited after so many failures."""
        return self.wait * min(2.0 ** min(failures, 60), _LONGEST) * self.random.uniform(0.75, 1.25)
