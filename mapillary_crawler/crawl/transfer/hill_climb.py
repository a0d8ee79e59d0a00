"""Pure: which concurrency to go to next, by the rates measured so far.

At first the concurrency doubles, as long as the rate grows; from then on a lower one is tried
now and again: what the rate keeps there tells where it stops growing, the knee, and the search
stays a little above. A rise is kept only if the rate agrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mapillary_crawler.crawl.transfer.ceiling import Ceiling

#: How far above the knee to stay: a real knee is round, and the measure has noise.
_HEADROOM = 1.3
#: By which part to climb once the best concurrency is near; doubled where the rate agrees.
_STEP, _LEAST_STEP = 0.3, 0.07
#: Seconds between two looks below, at least and at most; where nothing can be gained, so many
#: times as long.
_PROBE_SECONDS, _PROBE_LAST, _PROBE_RARELY = 8.0, 16.0, 3.0
#: Where to look: a part of the concurrency at first and after changes, another later on, and
#: the next one below where a rise did harm.
_PROBE_FAR, _PROBE_NEAR, _PROBE_NEXT = 0.5, 0.7, 0.94
#: A rate outside of these parts of the former one means that the server has changed.
_CHANGED_LESS, _CHANGED_MORE = 0.8, 1.25
#: Mean latency in seconds from which the way down is tried before the way up.
_SLOW = 2.0


class Mode(Enum):
    """What the present concurrency is for."""

    CRUISE = "cruise"
    CLIMB = "climb"
    PROBE = "probe"
    TRIAL = "trial"


@dataclass(slots=True)
class HillClimb:
    """Goes from one concurrency to the next, never above the ceiling; times in seconds."""

    #: Where it is, between `minimum` and `maximum`, and what for.
    concurrency: int
    minimum: int
    maximum: int
    ceiling: Ceiling
    mode: Mode = Mode.CRUISE
    #: The concurrency that rises and falls are compared with, and its rate; 0 is unknown.
    home: int = 0
    rate: float = 0.0
    #: Whether more would do better, but for the ceiling.
    capped: bool = False
    #: Exploring goes in large steps: 1 up, -1 down, 0 is over.
    _exploring: int = 1
    #: By which part to climb; and whether the rate is known to grow up to home.
    _step: float = 1.0
    _growing: bool = False
    #: Whether the rate grows less than home does: the knee may lie below it.
    _past: bool = False
    _probe_at: float = 0.0
    _probe_part: float = _PROBE_NEAR
    _went_at: float = 0.0

    def __post_init__(self) -> None:
        self.home = self.concurrency

    @property
    def in_large_steps(self) -> bool:
        """Say whether a rough measure will do for now."""
        return bool(self._exploring) and self._step >= _STEP

    def restart(self, now: float, concurrency: int) -> None:
        """Know nothing of the server any more."""
        self._exploring, self._step, self._growing, self.rate = 1, 1.0, False, 0.0
        self.cruise(now, concurrency)

    def measured(self, now: float, rate: float, latency: float) -> bool:
        """Take in the rate at this concurrency; say whether another measure is to follow there."""
        if self.mode is Mode.CRUISE:
            return self._cruised(now, rate, latency)
        if self.mode is Mode.CLIMB:
            self.climbed(now, rate)
        else:
            self._probed(now, rate)
        return False

    def _cruised(self, now: float, rate: float, latency: float) -> bool:
        before, self.rate = self.rate, rate
        if before and not _CHANGED_LESS < rate / before < _CHANGED_MORE:
            self._exploring, self._growing = (1 if rate > before else -1), False
            self._step, self.capped = 1.0, False
            return True
        if before:
            self.rate = (before + rate) / 2
        if self._exploring > 0 and latency < _SLOW:
            self.climb(now)
        elif self._exploring:
            self._probe(now, _PROBE_FAR)
        elif now >= self._probe_at:
            self._probe(now, self._probe_part)
        else:
            return True
        return False

    def climb(self, now: float, target: int = 0) -> None:
        """Go up by a step, or to `target`; stay where the ceiling does not let it."""
        target = target or max(self.home + 1, int(self.home * (1 + self._step)))
        target = min(target, self.ceiling.cap(self.maximum))
        if target > self.home and self.rate:
            self.go(now, Mode.CLIMB, target)
        else:
            self.stay(now, self.home, wait=_PROBE_RARELY)
            self.capped = True

    def climbed(self, now: float, rate: float) -> None:
        """Keep a rise whose rate agrees."""
        growth, step = rate / self.rate, self.concurrency / self.home - 1
        if growth >= 1 + 0.2 * step:
            self.home, self.rate = self.concurrency, rate
            self._step = min(1.0, 2 * step)
            if self._exploring or growth >= 1 + 0.5 * step:
                self.climb(now)
            else:
                self.stay(now, self.home)
        else:
            self._not_climbed(now, flat=growth >= 0.97)

    def _not_climbed(self, now: float, *, flat: bool) -> None:
        self._step = _STEP if flat else self._step / 2
        comfortable = _comfortable(self.home)
        if not self._growing and self.home > self.minimum:
            self._probe(now, _PROBE_FAR if self._exploring else _PROBE_NEAR)
        elif flat and self.concurrency > comfortable:
            self.climb(now, comfortable)
        elif flat:
            self.stay(now, (self.concurrency + self.home + 1) // 2)
        elif self._step >= _LEAST_STEP and self._step * self.home >= 1:
            self.climb(now)
        elif self._past:
            self._probe(now, _PROBE_NEXT)
        else:
            self.stay(now, self.home, wait=_PROBE_RARELY)

    def look_below(self, now: float) -> None:
        """Try a lower concurrency, whatever the rate."""
        self.go(now, Mode.PROBE, int(self.home * _PROBE_NEAR))

    def _probe(self, now: float, part: float) -> None:
        target = max(self.minimum, int(self.home * part))
        if target < self.home and self.rate:
            self.go(now, Mode.PROBE, target)
        else:
            self._growing = True
            self.climb(now)

    def _probed(self, now: float, rate: float) -> None:
        if not self.rate:
            self.cruise(now, self.home)
            return
        kept, part = rate / self.rate, self.concurrency / self.home
        if part > _PROBE_NEAR + 0.1:
            self.stay(now, self.concurrency if kept > 1.02 else self.home, wait=_PROBE_RARELY)
        elif kept < 0.75 * part:  # worse than it can be: the server changes, look again
            self._probe_at = now + _PROBE_SECONDS
            self.cruise(now, self.home)
        elif kept > 1.05 or (self._exploring and kept >= 0.9):
            self.home, self.rate = self.concurrency, max(rate, self.rate)
            self._growing = False
            if self._exploring:
                self._probe(now, _PROBE_FAR)
            else:
                self.stay(now, self.home, wait=0)
        elif kept <= part * 1.1:
            self._growing = True
            self.climb(now)
        else:
            self._near_knee(now, _comfortable(min(self.concurrency / kept, self.home)))

    def _near_knee(self, now: float, target: int) -> None:
        if target > self.home:
            self._growing = self._past = True
            self.climb(now, min(target, max(self.home + 1, round(1.1 * self.home))))
        elif target < 0.93 * self.home:
            self.stay(now, target, wait=0.0)
            self._probe_part = _PROBE_FAR
        else:
            self.stay(now, target)

    def stay(self, now: float, concurrency: int, *, wait: float = 1.0) -> None:
        """Cruise at what seems best, and look below after `wait` times as long as usual."""
        self._exploring = 0
        self._growing = self._past = self.capped = False
        self._step = min(max(self._step, 0.1), _STEP)
        self._probe_part = _PROBE_NEAR
        usual = min(max(_PROBE_SECONDS, 4 * (now - self._went_at)), _PROBE_LAST)
        self._probe_at = now + usual * wait
        self.cruise(now, min(concurrency, self.ceiling.cap(self.maximum)))

    def retreat(self, now: float, concurrency: int) -> None:
        """Cruise at less, since the server refused, and look below soon."""
        self._exploring, self._probe_at = 0, now
        self.cruise(now, concurrency)

    def cruise(self, now: float, concurrency: int) -> None:
        """Go to a concurrency to stay for now; its rate is not known if it is a new one."""
        self.go(now, Mode.CRUISE, concurrency)
        if self.home != self.concurrency:
            self.home, self.rate = self.concurrency, 0.0

    def go(self, now: float, mode: Mode, concurrency: int) -> None:
        """Be at a concurrency, within the bounds, from now on."""
        self.mode = mode
        self.concurrency = max(self.minimum, min(concurrency, self.maximum))
        self._went_at = now


def _comfortable(knee: float) -> int:
    """Return where to stay for a knee; one transfer alone leaves the line idle between two."""
    return max(2, round(_HEADROOM * knee))
