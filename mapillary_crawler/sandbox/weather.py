"""Which fault strikes which request: seeded, transient unless a fault says otherwise."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import Enum, auto
from typing import TYPE_CHECKING

from . import errors
from .answer import LOGIN_PAGE, Answer
from .identifiers import draw

if TYPE_CHECKING:
    from .faults import Faults, Selector, SurfaceFaults


class Delivery(Enum):
    """How an answer goes over the network."""

    WHOLE = auto()
    WITHOUT_LENGTH = auto()
    CUT = auto()
    RESET = auto()
    RESET_IN_BODY = auto()
    STALL = auto()
    STALL_IN_BODY = auto()


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to one request."""

    #: Seconds before anything is answered.
    delay: float = 0.0
    #: Answered in place of the true answer.
    instead: Answer | None = None
    delivery: Delivery = Delivery.WHOLE


class Chance:
    """Draws for faults: the same seed and the same requests give the same faults."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.seed = seed
        self.faults = faults
        #: Faults dealt out, for example `cdn.reset`.
        self.dealt: Counter[str] = Counter()

    def strikes(self, surface: str, fault: str, key: str, nth: object) -> bool:
        """Whether a fault strikes the nth request for a key (an image id, a path)."""
        struck = self.holds(surface, fault, key, nth)
        if struck:
            self.dealt[f"{surface}.{fault}"] += 1
        return struck

    def holds(self, surface: str, fault: str, key: str, nth: object = None) -> bool:
        """Whether a fault that lasts for ever has befallen an image."""
        selector: Selector = getattr(getattr(self.faults, surface), fault)
        if not selector:
            return False
        if isinstance(selector, tuple):
            return key in selector
        return draw(self.seed, surface, fault, key, nth) < selector


class Weather:
    """Decides over each request of one surface before its answer is made."""

    def __init__(self, surface: str, chance: Chance) -> None:
        self.surface = surface
        self.chance = chance
        self.reset()

    def reset(self) -> None:
        """Forget the requests so far."""
        #: Requests so far, this one included.
        self.requests = 0
        self._outage_ends: float | None = None

    def disturb(self, key: str, nth: int, in_flight: int) -> Disturbance:
        """Decide over a request: the nth for its key, with `in_flight` under way, itself too."""
        self.requests += 1
        faults: SurfaceFaults = getattr(self.chance.faults, self.surface)
        delay = self._delay(faults, key, nth, in_flight)
        if faults.down:
            self.chance.dealt[f"{self.surface}.down"] += 1
            return Disturbance(delivery=Delivery.RESET)
        if faults.ceiling and in_flight > faults.ceiling:
            self.chance.dealt[f"{self.surface}.ceiling"] += 1
            return Disturbance(delay, too_many(faults))
        if self._outage(faults):
            self.chance.dealt[f"{self.surface}.outage"] += 1
            return self._shown(faults, faults.outage)
        instead = self._instead(faults, key, nth)
        delivery = Delivery.WHOLE if instead else self._delivery(key, nth)
        return Disturbance(delay, instead, delivery)

    def dated(self, answer: Answer) -> Answer:
        """Return an answer with the Date of the service's clock, where that is not this machine's.

        Without one the server adds its own.
        """
        faults: SurfaceFaults = getattr(self.chance.faults, self.surface)
        if not faults.clock:
            return answer
        date = formatdate(time.time() + faults.clock, usegmt=True)
        return replace(answer, headers={**answer.headers, "Date": date})

    def _strikes(self, fault: str, key: str, nth: int) -> bool:
        return self.chance.strikes(self.surface, fault, key, nth)

    def _delay(self, faults: SurfaceFaults, key: str, nth: int, in_flight: int) -> float:
        milliseconds = faults.latency_ms
        if faults.jitter_ms:
            milliseconds += faults.jitter_ms * draw(self.chance.seed, "jitter", key, nth)
        if faults.knee and in_flight > faults.knee:
            milliseconds += faults.knee_ms * (in_flight - faults.knee)
        if self._strikes("slow", key, nth):
            milliseconds += faults.slow_ms
        return milliseconds / 1000

    def _outage(self, faults: SurfaceFaults) -> bool:
        if faults.outage_after < 0:
            self._outage_ends = None
        elif self._outage_ends is None and self.requests > faults.outage_after:
            self._outage_ends = time.monotonic() + faults.outage_seconds
        return self._outage_ends is not None and time.monotonic() < self._outage_ends

    def _shown(self, faults: SurfaceFaults, kind: str) -> Disturbance:
        match kind:
            case "reset":
                return Disturbance(delivery=Delivery.RESET)
            case "stall":
                return Disturbance(delivery=Delivery.STALL)
            case "too_many":
                return Disturbance(instead=too_many(faults))
            case "rate_limit":
                return Disturbance(instead=errors.RATE_LIMIT.answer())
            case "redirect":
                return Disturbance(instead=redirect())
            case _:
                return Disturbance(instead=self._server_error(503))

    def _instead(self, faults: SurfaceFaults, key: str, nth: int) -> Answer | None:
        if self._strikes("server_error", key, nth):
            which = int(3 * draw(self.chance.seed, "status", key, nth))
            return self._server_error((500, 502, 503)[which])
        if self._strikes("too_many", key, nth):
            return too_many(faults)
        if self._strikes("redirect", key, nth):
            return redirect()
        if self._strikes("html", key, nth):
            # The CDN's type is claimed half of the time: the classic accident, HTML as .jpg.
            claimed = self.surface == "cdn" and draw(self.chance.seed, "type", key, nth) < 0.5
            return Answer(200, LOGIN_PAGE, "image/jpeg" if claimed else "text/html; charset=utf-8")
        return None

    def _server_error(self, status: int) -> Answer:
        if self.surface == "api" and status != 502:
            return Answer(status, errors.TEMPORARY.answer().body)
        return Answer(status, b"<html><body>Bad Gateway</body></html>", "text/html")

    def _delivery(self, key: str, nth: int) -> Delivery:
        if self._strikes("reset", key, nth):
            early = draw(self.chance.seed, "early", key, nth) < 0.5
            return Delivery.RESET if early else Delivery.RESET_IN_BODY
        for fault, delivery in _DELIVERIES:
            if self._strikes(fault, key, nth):
                return delivery
        return Delivery.WHOLE


_DELIVERIES = (
    ("cut", Delivery.CUT),
    ("stall", Delivery.STALL),
    ("stall_body", Delivery.STALL_IN_BODY),
    ("no_length", Delivery.WITHOUT_LENGTH),
)


def too_many(faults: SurfaceFaults) -> Answer:
    """Return a 429, with Retry-After as the faults want it."""
    headers = {}
    if faults.retry_after_date:
        headers["Retry-After"] = formatdate(time.time() + faults.retry_after, usegmt=True)
    elif faults.retry_after >= 0:
        headers["Retry-After"] = f"{faults.retry_after:g}"
    return Answer(429, b"Too Many Requests", "text/plain", headers)


def redirect() -> Answer:
    """Return the redirect to a log-in page by which an address is blocked."""
    return Answer(302, b"", "text/html", {"Location": "/login/?next=graph"})
