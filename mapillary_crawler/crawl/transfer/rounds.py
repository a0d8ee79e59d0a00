"""Pure: the transfers of one concurrency, counted round by round.

A round is as many answers as the concurrency, about one round trip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from mapillary_crawler.crawl.transfer.window import TransferOutcome, Window


@dataclass(frozen=True, slots=True)
class Round:
    """What a round has shown beside its rate."""

    refused: int
    failed: int
    #: Fewest transfers in flight with which one was begun that was refused; infinity for none.
    refused_with: float


@dataclass(slots=True)
class Rounds:
    """Counts what was begun at `concurrency`; the first round settles, the others measure."""

    concurrency: int
    window: Window = field(default_factory=lambda: Window(0.0))
    settled: bool = False
    #: Refused transfers of this round: their places stay empty until its end.
    withheld: int = 0
    _since: float = 0.0
    _answers: int = 0
    _failed: int = 0
    _refused_with: float = math.inf

    def begin(self, now: float, concurrency: int) -> None:
        """Count for another concurrency."""
        self.concurrency = concurrency
        self.settled = False
        self._since = now
        self._begin_round()

    def measure(self, now: float) -> None:
        """Begin a new measure."""
        self.settled = True
        self.window = Window(now)

    def was_begun_before(self, now: float, latency: float, in_flight: int) -> bool:
        """Say whether a transfer belongs to a concurrency before this one."""
        return now - latency < self._since or (not self.settled and in_flight > self.concurrency)

    def count(
        self,
        latency: float,
        size: int,
        outcome: TransferOutcome,
        *,
        begun_with: int,
        in_flight: int,
        limit: int,
    ) -> Round | None:
        """Count a transfer; return the round if it ends with it."""
        if outcome is TransferOutcome.REFUSED:
            self.withheld += 1
            self._refused_with = min(self._refused_with, begun_with)
        elif outcome is TransferOutcome.FAILED:
            self._failed += 1
        self._answers += 1
        self.window.count(latency, size, outcome, in_flight, starved=in_flight < limit)
        if self._answers < self.concurrency:
            return None
        ended = Round(self.withheld, self._failed, self._refused_with)
        self._begin_round()
        return ended

    def _begin_round(self) -> None:
        self._answers = self._failed = self.withheld = 0
        self._refused_with = math.inf
