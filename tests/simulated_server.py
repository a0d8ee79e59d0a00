"""A server in simulated time, and the throttle that is tried on it."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy.utils.test import get_crawler

from mapillary_crawler.crawl import throttle as extension
from mapillary_crawler.crawl.throttle import ImageThrottle
from mapillary_crawler.crawl.transfer.downloader import LimitedDownloader
from mapillary_crawler.crawl.transfer.window import TransferOutcome
from tests.runs import plain_run

#: Seconds that the crawler takes to hear of the end of a transfer, after its place is filled.
_HEARING = 1e-5
#: Bytes of an image.
_SIZE = 100_000


@dataclass
class Server:
    """Answers after `latency` seconds; everything may be changed while it works."""

    latency: float = 0.1
    #: Standard deviation of the logarithm of the latency.
    jitter: float = 0.0
    #: Above `knee` in flight, each one more adds `slope` seconds; None: latency / knee.
    knee: int = 1_000_000
    slope: float | None = None
    #: Above `ceiling` the answer is 429, at once or after the latency; refused ones count or not.
    ceiling: int = 1_000_000
    refuses_at_once: bool = False
    counts_refused: bool = True
    retry_after: float | None = None
    #: A line or a processor that takes so many seconds for each answer, one after another.
    seconds_each: float = 0.0
    refused_share: float = 0.0
    failed_share: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(1))
    in_flight: int = 0
    _free_at: float = 0.0

    def take(self, now: float) -> tuple[float, TransferOutcome, bool]:
        """Take a request; return when it ends, how, and whether it counts until then."""
        slope = self.latency / self.knee if self.slope is None else self.slope
        latency = self.latency + slope * max(0, self.in_flight + 1 - self.knee)
        if self.jitter:
            latency *= self.random.lognormvariate(-(self.jitter**2) / 2, self.jitter)
        if self.in_flight >= self.ceiling or self.random.random() < self.refused_share:
            latency = 0.001 if self.refuses_at_once else latency
            return now + latency, TransferOutcome.REFUSED, self.counts_refused
        failed = self.random.random() < self.failed_share
        return now + latency, TransferOutcome.FAILED if failed else TransferOutcome.GOOD, True

    def pass_line(self, now: float) -> float:
        """Return when an answer that is ready now has passed the line."""
        self._free_at = max(self._free_at, now) + self.seconds_each
        return self._free_at


@dataclass(frozen=True, slots=True)
class Moment:
    at: float
    outcome: TransferOutcome
    in_flight: int


class Downloader(LimitedDownloader):
    """Does what the throttle asks for, in simulated time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.limit = 0
        self.held = 0
        self.paused_until = 0.0
        self.pauses: list[float] = []

    def set_concurrency(self, slot_key: str, concurrency: int) -> None:
        assert slot_key == "images"
        self.limit = concurrency

    def pause(self, slot_key: str, seconds: float) -> None:
        assert slot_key == "images"
        self.pauses.append(seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)

    def resume(self, slot_key: str) -> None:
        self.paused_until = self.now

    def paused_for(self, slot_key: str) -> float:
        return max(0.0, self.paused_until - self.now)

    def in_flight(self, slot_key: str) -> int:
        return self.held


class Simulation:
    """The throttle with a downloader in front of a server; `images` may be too few."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **configuration: Any) -> None:
        self.downloader = Downloader()
        monkeypatch.setattr(extension, "monotonic", lambda: self.downloader.now)
        crawler = get_crawler(
            settings_dict={"TWISTED_REACTOR_ENABLED": False, "AUTOTHROTTLE_ENABLED": True}
        )
        crawler.engine = SimpleNamespace(downloader=self.downloader)  # type: ignore[assignment]
        named = {
            "concurrency_start": 16,
            "concurrency_min": 1,
            "concurrency_max": 128,
            "concurrency_fixed": 0,
            "api_patience": 7200.0,
            **configuration,
        }
        run = plain_run(opened={"configuration": SimpleNamespace(**named)})
        self.throttle = ImageThrottle(crawler, run)
        self.throttle._apply()
        # In an outage it is as if a known image had been asked for, and did not come yet.
        asking: Any = SimpleNamespace(done=lambda: False)
        self.throttle._asking = asking

    def run(  # noqa: C901  one loop
        self,
        server: Server,
        seconds: float,
        *events: tuple[float, Callable[[Server], None]],
        images: int = 10_000_000,
    ) -> list[Moment]:
        """Transfer for so long, or so many images; events change the server at their time."""
        downloader = self.downloader
        pending: list[tuple[float, int, float, int, TransferOutcome, bool, bool]] = []
        number = itertools.count()
        moments: list[Moment] = []
        waiting = sorted(events, key=lambda event: event[0])
        left = images
        braked: dict[int, float] = {}

        def fill() -> None:
            nonlocal left
            while left and downloader.held < downloader.limit and not downloader.paused_for(""):
                ends, outcome, counts = server.take(downloader.now)
                downloader.held += 1
                left -= 1
                server.in_flight += counts
                entry = (ends, next(number), downloader.now, downloader.held, outcome, counts)
                heapq.heappush(pending, (*entry, False))

        def happen() -> None:
            while waiting and waiting[0][0] <= downloader.now:
                waiting.pop(0)[1](server)

        fill()
        while pending or downloader.paused_for(""):
            wakes = downloader.paused_until if downloader.paused_for("") else float("inf")
            if not pending or wakes < pending[0][0]:
                downloader.now = wakes
                happen()
                fill()
                continue
            ends, which, began, beside, outcome, counts, passed = heapq.heappop(pending)
            downloader.now = now = max(ends, downloader.now)
            happen()
            if now > seconds:
                break
            if not passed:
                server.in_flight -= counts
                if server.seconds_each and outcome is TransferOutcome.GOOD:
                    entry = (server.pass_line(now), next(number), began, beside, outcome, False)
                    heapq.heappush(pending, (*entry, True))
                    continue
            if outcome is TransferOutcome.GOOD and self._brakes(now, which, braked):
                entry = (now + braked[which], which, began, beside, outcome, False)
                heapq.heappush(pending, (*entry, True))
                continue
            downloader.held -= 1
            fill()
            downloader.now += _HEARING
            self.throttle.finished(
                downloader.now - began - braked.pop(which, 0.0),
                _SIZE if outcome is TransferOutcome.GOOD else 0,
                outcome,
                begun_with=beside,
                first_attempt=True,
                retry_after=server.retry_after if outcome is TransferOutcome.REFUSED else None,
            )
            fill()
            moments.append(Moment(now, outcome, downloader.held))
        return moments

    def _brakes(self, now: float, which: int, braked: dict[int, float]) -> bool:
        """Say whether an image has yet to wait at the brake; note for how long."""
        brake = self.downloader.brake
        if brake is None or which in braked:
            if brake:
                brake.waiting -= 1
            return False
        braked[which] = brake.took(now, _SIZE)
        brake.waiting += 1
        return True


def rate(moments: list[Moment], since: float, until: float) -> float:
    """Return the good answers a second in a stretch of time."""
    good = sum(since <= m.at < until and m.outcome is TransferOutcome.GOOD for m in moments)
    return good / (until - since)


def refused_share(moments: list[Moment], since: float) -> float:
    outcomes = [m.outcome for m in moments if m.at >= since]
    return outcomes.count(TransferOutcome.REFUSED) / len(outcomes)


def most_in_flight(moments: list[Moment], since: float) -> int:
    return max(m.in_flight for m in moments if m.at >= since)


def first(moments: list[Moment], in_flight: int, since: float = 0.0) -> float:
    """Return how many seconds after `since` so many were in flight; infinity for never."""
    found = (m.at - since for m in moments if m.at >= since and m.in_flight >= in_flight)
    return next(found, float("inf"))
