"""Pure: what finished transfers say of a server, counted over a stretch of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

#: A window is long enough after so many good answers, or seconds.
MOST_ANSWERS, MOST_SECONDS = 300, 3.0
#: Good answers that a window has at least, unless `MOST_SECONDS` are over.
LEAST_ANSWERS = 16
#: Share of answers that may find free places, or say nothing of speed, in a usable window.
_STARVED, _BESIDE = 0.25, 0.1


class TransferOutcome(Enum):
    """What a finished transfer says of the server."""

    #: A whole body came.
    GOOD = "good"
    #: An answer about this one image (404, 410, 403 for an old URL): the server lives, but its
    #: speed is not measured.
    BESIDE = "beside"
    #: Something else than an image, of a URL that should be good: a login, a redirect, a block.
    NO_IMAGE = "no image"
    #: 429 or 503: too many requests.
    REFUSED = "refused"
    #: No connection, a reset, a time-out, a short body, another 5xx.
    FAILED = "failed"


@dataclass(slots=True)
class Window:
    """Transfers that finished at one concurrency since `began`."""

    began: float
    answers: int = 0
    good: int = 0
    refused: int = 0
    beside: int = 0
    #: Answers after which fewer transfers than allowed were in flight: nothing was queued.
    starved: int = 0
    size: int = 0
    _in_flight: int = 0
    _busy: float = 0.0
    _latency: float = 0.0
    _latency_squared: float = 0.0

    def count(
        self, latency: float, size: int, outcome: TransferOutcome, in_flight: int, *, starved: bool
    ) -> None:
        """Add one transfer: its seconds and bytes, and how many are in flight after it."""
        self.answers += 1
        self.starved += starved
        self._in_flight += in_flight
        self._busy += latency
        self.size += size
        if outcome is TransferOutcome.GOOD:
            self.good += 1
            self._latency += latency
            self._latency_squared += latency * latency
        elif outcome is TransferOutcome.REFUSED:
            self.refused += 1
        elif outcome in (TransferOutcome.BESIDE, TransferOutcome.NO_IMAGE):
            self.beside += 1

    @property
    def latency(self) -> float:
        """Mean seconds of the good answers."""
        return self._latency / self.good if self.good else 0.0

    @property
    def in_flight(self) -> float:
        """Mean number of transfers in flight after an answer."""
        return self._in_flight / self.answers if self.answers else 0.0

    @property
    def rate(self) -> float:
        """Good answers a second, by Little's law: less noisy than counting in a short window."""
        return self.good / self._busy * self.in_flight if self._busy else 0.0

    def usable(self) -> bool:
        """Say whether the transfers were as many as allowed, and images."""
        return (
            self.good > 0
            and self.starved <= self.answers * _STARVED
            and self.beside <= self.answers * _BESIDE
        )

    def enough(self, now: float, accuracy: float) -> bool:
        """Say whether the mean latency is known to this standard error, or long watched."""
        if self.good >= MOST_ANSWERS or now - self.began >= MOST_SECONDS:
            return True
        if self.good < LEAST_ANSWERS:
            return False
        mean = self.latency
        variance = max(0.0, self._latency_squared / self.good - mean * mean)
        return math.sqrt(variance / self.good) <= accuracy * mean
