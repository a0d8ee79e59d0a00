"""Pure: how far a run is, how fast it goes, and how that is said to people and monitors."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.terminal import quantities

#: Seconds over which a rate is taken, and over which the time left is foretold.
RATE_SECONDS = 30.0
FORECAST_SECONDS = 300.0


class Phase(StrEnum):
    """What a run is at."""

    LISTING = "listing"  #: more images may still be listed; they are fetched meanwhile
    FETCHING = "fetching"
    FINISHING = "finishing"  #: tars, manifests, the move into the store
    UPLOADING = "uploading"  #: all is here; archive.org alone is waited for
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one instant.

    `to_retry` are images whose last attempt failed and that are tried again in this run,
    `given_up` those that are not; both are part of the balance's `failed`. `in_flight` are
    transfers of images, `encoding` images that wait for an encoder or are with one.
    """

    phase: Phase
    balance: Balance
    to_retry: int = 0
    given_up: int = 0
    in_flight: int = 0
    encoding: int = 0
    #: Who is waited for, and until when; empty for nobody.
    waiting: str = ""
    #: The day that is made a tar of beside the crawl; empty for none.
    sealing: str = ""

    @property
    def to_do(self) -> int:
        """Images that are still to be done in this run, those to try again included."""
        return max(0, self.balance.unsettled - self.given_up)

    @property
    def done(self) -> int:
        """Images that this run is done with, those given up included."""
        return self.balance.listed - self.to_do


@dataclass
class Pace:
    """The rates of a run, fed with a snapshot now and then.

    Times are seconds on any clock that only goes forward.
    """

    _samples: deque[tuple[float, int, int]] = field(default_factory=deque)

    def note(self, now: float, snapshot: Snapshot) -> None:
        """Take a sample, and forget those too old to matter."""
        self._samples.append((now, snapshot.done, snapshot.balance.bytes_saved))
        while len(self._samples) > 2 and self._samples[1][0] <= now - FORECAST_SECONDS:
            self._samples.popleft()

    def rates(self, seconds: float = RATE_SECONDS) -> tuple[float, float]:
        """Return images and bytes a second over the last `seconds`, or as many as are known."""
        if not self._samples:
            return 0.0, 0.0
        now, images, size = self._samples[-1]
        since = next(sample for sample in self._samples if sample[0] >= now - seconds)
        if since[0] == now and len(self._samples) > 1:
            since = self._samples[-2]
        passed = now - since[0]
        if passed <= 0:
            return 0.0, 0.0
        return max(0, images - since[1]) / passed, max(0, size - since[2]) / passed

    def seconds_left(self, snapshot: Snapshot) -> float | None:
        """Return how long the images still take; None while that cannot be known."""
        if snapshot.phase is not Phase.FETCHING:
            return None
        images, _ = self.rates(FORECAST_SECONDS)
        return snapshot.to_do / images if images > 0 else None


@dataclass(frozen=True, slots=True)
class Report:
    """The progress of one collection, to be said in one way or another."""

    name: str
    snapshot: Snapshot
    pace: Pace
    #: The name for people, where it is another.
    title: str = ""
    #: It ends as soon as it can: somebody wants that, or it cannot go on.
    stopping: bool = False

    def headings(self) -> list[str]:
        """Return what the run is at, and how long it still takes."""
        snapshot = self.snapshot
        parts = ["stopping" if self.stopping else snapshot.phase.value]
        if snapshot.phase is not Phase.LISTING and snapshot.balance.listed:
            parts.append(f"{100 * snapshot.done // snapshot.balance.listed} %")
        if not self.stopping and (left := self.pace.seconds_left(snapshot)) is not None:
            parts.append(f"{quantities.duration(left)} left")
        if snapshot.waiting:
            parts.append(f"waiting for {snapshot.waiting}")
        return parts

    def amounts(self) -> list[str]:
        """Return what has been done so far, and how fast."""
        balance = self.snapshot.balance
        images, size = self.pace.rates()
        listed = "listed so far" if self.snapshot.phase is Phase.LISTING else "images"
        return [
            f"{self.snapshot.done:,} of {balance.listed:,} {listed}",
            quantities.size(balance.bytes_saved),
            f"{quantities.rate(images)} images/s",
            f"{quantities.size(size)}/s",
        ]

    def others(self) -> list[str]:
        """Return what is on its way, and what went wrong."""
        snapshot = self.snapshot
        counts = (
            (snapshot.encoding, "to encode"),
            (snapshot.to_retry, "to try again"),
            (snapshot.balance.gone, "gone"),
            (snapshot.balance.unavailable, "unavailable"),
        )
        return [
            f"{snapshot.in_flight:,} in flight",
            f"{snapshot.given_up:,} failed",
            *(f"{count:,} {what}" for count, what in counts if count),
            *([f"sealing {snapshot.sealing}"] if snapshot.sealing else []),
        ]

    def line(self) -> str:
        """Return everything as one line for a log."""
        parts = [*self.headings(), *self.amounts(), *self.others()]
        return f"{self.title or self.name}: {', '.join(parts)}"

    def fields(
        self, *, started_at: float, updated_at: float, outcome: Outcome | None = None
    ) -> dict[str, Any]:
        """Return everything as JSON can hold it; times are given in seconds since 1970."""
        snapshot = self.snapshot
        images, size = self.pace.rates()
        left = self.pace.seconds_left(snapshot)
        return {
            "collection": self.name,
            "phase": snapshot.phase.value,
            "started_at": _time(started_at),
            "updated_at": _time(updated_at),
            "listed": snapshot.balance.listed,
            **asdict(snapshot.balance),
            "to_retry": snapshot.to_retry,
            "given_up": snapshot.given_up,
            "in_flight": snapshot.in_flight,
            "encoding": snapshot.encoding,
            "waiting": snapshot.waiting or None,
            "sealing": snapshot.sealing or None,
            "images_per_second": round(images, 1),
            "bytes_per_second": round(size),
            "seconds_left": None if left is None else round(left),
            "outcome": outcome.sentence if outcome else None,
            "finish_reason": outcome.reason if outcome else None,
            "exit_code": outcome.exit_code if outcome else None,
        }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
