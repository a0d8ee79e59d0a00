"""Pure: looks for the concurrency at which throughput stops growing.

The rate of good answers is measured at one concurrency after another. At first it doubles, as
long as the rate grows; from then on a lower concurrency is tried now and again: what the rate
keeps there tells where it stops growing, and the search stays a little above. A rise is kept
only if the rate agrees. A round is as many answers as the concurrency, about one round trip.

A refused transfer (429, 503) gives up its place until the end of its round, but one round trip
takes away no more than half. What was refused was begun beside so many others: that tells the
server's ceiling. Failures by the half of a round halve the concurrency, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from mapillary_crawler.throttle.ceiling import Ceiling
from mapillary_crawler.throttle.window import Outcome, Window

#: How far above the knee to stay: a real knee is round, and the measure has noise.
HEADROOM = 1.3
#: By which part to climb once the best concurrency is near; doubled where the rate agrees.
_STEP, _LEAST_STEP = 0.3, 0.07
#: Seconds between two looks below; where nothing can be gained, so many times as long.
_PROBE_SECONDS, _PROBE_RARELY = 8.0, 3.0
#: Where to look: a part of the concurrency at first and after changes, another later on.
_PROBE_FAR, _PROBE_NEAR = 0.5, 0.7
#: Relative standard errors that a measure may have, while exploring and afterwards.
_QUICK, _ACCURATE = 0.08, 0.03
#: A rate outside of these parts of the former one means that the server has changed.
_CHANGED_LESS, _CHANGED_MORE = 0.8, 1.25
#: Mean latency in seconds from which the way down is tried before the way up.
_SLOW = 2.0
#: Part of the transfers of a trial that are waited for: one that stalls shall not hold it up.
_VERDICTS = 0.75
#: Refusals that a measure of them expects at least, and the share that raises suspicion.
_PROOF, _SUSPICIOUS = 8.0, 0.005


class Mode(Enum):
    """What the present concurrency is for."""

    CRUISE = "cruise"
    CLIMB = "climb"
    PROBE = "probe"
    TRIAL = "trial"


@dataclass(slots=True)
class ConcurrencySearch:
    """Finds the best concurrency between `minimum` and `maximum`, beginning with `concurrency`."""

    concurrency: int
    minimum: int
    maximum: int
    mode: Mode = Mode.CRUISE
    ceiling: Ceiling = field(default_factory=Ceiling)
    #: The concurrency that rises and falls are compared with, and its rate; 0 is unknown.
    _home: int = 0
    _rate: float = 0.0
    #: Share of refusals at home, and the share that was found to have nothing to do with us.
    _refused_share: float = 0.0
    _background: float = 0.0
    #: Exploring goes in large steps: 1 up, -1 down, 0 is over.
    _exploring: int = 1
    #: By which part to climb; and whether the rate is known to grow up to home.
    _step: float = 1.0
    _growing: bool = False
    _probe_at: float = 0.0
    _probe_part: float = _PROBE_NEAR
    _since: float = 0.0
    _settled: bool = False
    _in_round: int = 0
    _withheld: int = 0
    _failed: int = 0
    #: Fewest transfers in flight with which one was refused in this round.
    _refused_with: float = math.inf
    #: Whether the transfers of a trial have all begun, and how many of them went well.
    _begun: bool = False
    _passed: int = 0
    _window: Window = field(default_factory=lambda: Window(0.0))

    def __post_init__(self) -> None:
        self._home = self.concurrency

    @property
    def limit(self) -> int:
        """Transfers that may be in flight now."""
        if self.mode is Mode.TRIAL:
            return self._home if self._begun else self.concurrency
        least = max(self.minimum, self.concurrency // 2)
        return max(least, self.concurrency - self._withheld)

    def restart(self, now: float, concurrency: int) -> None:
        """Begin anew, as after an outage."""
        self.ceiling.forget()
        self._exploring, self._step, self._growing, self._rate = 1, 1.0, False, 0.0
        self._cruise(now, concurrency)

    def interrupt(self) -> None:
        """Measure anew from the next round on: transfers were held back."""
        self._settled = False

    def finished(
        self,
        now: float,
        latency: float,
        size: int,
        outcome: Outcome,
        *,
        begun_with: int,
        in_flight: int,
    ) -> None:
        """Take in a finished transfer; times in seconds, sizes in bytes.

        `begun_with` transfers were in flight when it began, itself too; `in_flight` are now.
        """
        if now - latency < self._since or (not self._settled and in_flight > self.concurrency):
            return  # it was begun at another concurrency
        if self.mode is Mode.TRIAL:
            self._take_verdict(now, outcome, begun_with, in_flight)
            return
        if outcome is Outcome.GOOD:
            self.ceiling.good()
        elif outcome is Outcome.REFUSED:
            self._withheld += 1
            self._refused_with = min(self._refused_with, begun_with)
        elif outcome is Outcome.FAILED:
            self._failed += 1
        self._in_round += 1
        self._window.count(latency, size, outcome, in_flight, starved=in_flight < self.limit)
        if self._in_round >= self.concurrency:
            self._end_round(now)

    def _end_round(self, now: float) -> None:
        withheld, failed, refused_with = self._withheld, self._failed, self._refused_with
        self._begin_round()
        if withheld > self._tolerable_refusals():
            self._refused(now, withheld, refused_with)
        elif failed >= max(4, self.concurrency / 2):
            self._cruise(now, self.concurrency // 2)
        elif not self._settled:
            self._measure(now)
        elif self._enough(now):
            if self._window.usable():
                self._decide(now)
            else:
                self._measure(now)

    def _tolerable_refusals(self) -> float:
        """Return how many refusals in a round may have nothing to do with the concurrency."""
        usual = min(3 * self._refused_share, 0.3) * self.concurrency
        if self.mode is Mode.CLIMB:
            return usual + max(1.0, 0.1 * self.concurrency)
        return usual + max(3.0, 0.25 * self.concurrency)

    def _refused(self, now: float, withheld: int, refused_with: float) -> None:
        """Go down to what the server took, by half at most."""
        self._exploring = 0
        most = self.concurrency - withheld + 1
        if self.mode is Mode.CLIMB and self._home < refused_with <= self.concurrency:
            most = int(refused_with) - 1
        self.ceiling.found(now, max(most, self.concurrency // 2, self.minimum))
        self._cruise(now, self.ceiling.cap(self.maximum))

    def _take_verdict(self, now: float, outcome: Outcome, begun_with: int, in_flight: int) -> None:
        """Look at a transfer that was begun in a trial, beside more than the ceiling allows."""
        self._begun = self._begun or in_flight >= self.concurrency
        assert self.ceiling.value is not None
        if begun_with <= self.ceiling.value:
            return
        if outcome is Outcome.REFUSED:
            self.ceiling.held(now)
            self._climb(now, self.ceiling.cap(self.maximum))
            return
        self._passed += 1
        if self._passed >= (self.concurrency - self.ceiling.value) * _VERDICTS:
            self._tried(now)

    def _enough(self, now: float) -> bool:
        window = self._window
        if self.mode is Mode.PROBE:
            share = self._refused_share
            proven = share < _SUSPICIOUS or share * window.answers >= _PROOF
            return window.enough(now, _ACCURATE) and (proven or now - window.began > 6)
        quick = self._exploring and self._step >= _STEP
        return window.enough(now, _QUICK if quick else _ACCURATE)

    def _decide(self, now: float) -> None:
        rate = self._window.rate
        if self.mode is Mode.CRUISE:
            self._cruised(now, rate)
        elif self.mode is Mode.CLIMB:
            self._climbed(now, rate)
        else:
            self._probed(now, rate)

    def _cruised(self, now: float, rate: float) -> None:
        before, share = self._rate, self._window.refused_share
        self._rate, self._refused_share = rate, share
        if before and not _CHANGED_LESS < rate / before < _CHANGED_MORE:
            self._exploring, self._growing = (1 if rate > before else -1), False
            self._step = 1.0
            self._measure(now)
            return
        if before:
            self._rate = (before + rate) / 2
            self._refused_share = (self._refused_share + share) / 2
        if self._exploring > 0 and self._window.latency < _SLOW:
            self._climb(now)
        elif self._exploring:
            self._probe(now, _PROBE_FAR)
        elif now >= self._probe_at or self._suspicious():
            self._probe(now, self._probe_part)
        elif (
            self._home >= self.ceiling.cap(self.maximum)
            and self.ceiling.may_be_tried(now)
            and self.ceiling.value
        ):
            self._go(now, Mode.TRIAL, self.ceiling.trial())
        else:
            self._measure(now)

    def _suspicious(self) -> bool:
        window = self._window
        return window.refused >= 2 and window.refused_share > max(_SUSPICIOUS, 2 * self._background)

    def _tried(self, now: float) -> None:
        if self.concurrency >= self.maximum:
            self.ceiling.forget()
            self._climb(now)
        else:
            self.ceiling.passed(self.concurrency)
            self._go(now, Mode.TRIAL, self.ceiling.trial())

    def _climb(self, now: float, target: int = 0) -> None:
        target = target or max(self._home + 1, int(self._home * (1 + self._step)))
        target = min(target, self.ceiling.cap(self.maximum))
        if target > self._home and self._rate:
            self._go(now, Mode.CLIMB, target)
        else:
            self._stay(now, self._home, wait=_PROBE_RARELY)

    def _climbed(self, now: float, rate: float) -> None:
        growth, step = rate / self._rate, self.concurrency / self._home - 1
        if growth >= 1 + 0.2 * step:
            self._home, self._rate = self.concurrency, rate
            self._step = min(1.0, 2 * step)
            if self._exploring or growth >= 1 + 0.5 * step:
                self._climb(now)
            else:
                self._stay(now, self._home)
        else:
            self._not_climbed(now, flat=growth >= 0.97)

    def _not_climbed(self, now: float, *, flat: bool) -> None:
        self._step = _STEP if flat else self._step / 2
        comfortable = round(HEADROOM * self._home)
        if not self._growing and self._home > self.minimum:
            self._probe(now, _PROBE_FAR if self._exploring else _PROBE_NEAR)
        elif flat and self.concurrency > comfortable:
            self._climb(now, comfortable)
        elif flat:
            self._stay(now, (self.concurrency + self._home + 1) // 2)
        elif self._step >= _LEAST_STEP and self._step * self._home >= 1:
            self._climb(now)
        else:
            self._stay(now, self._home, wait=_PROBE_RARELY)

    def _probe(self, now: float, part: float) -> None:
        target = max(self.minimum, int(self._home * part))
        if target < self._home:
            self._go(now, Mode.PROBE, target)
        else:
            self._growing = True
            self._climb(now)

    def _probed(self, now: float, rate: float) -> None:
        kept, part = rate / self._rate, self.concurrency / self._home
        expected = self._refused_share * self._window.answers
        self._background = self._refused_share
        if kept < 0.75 * part:  # worse than it can be: the server changes, look again
            self._probe_at = now + _PROBE_SECONDS
            self._cruise(now, self._home)
        elif expected >= _PROOF and self._window.refused < expected / 4:
            self.ceiling.found(
                now, min(self._home - 1, round(self._home * (1 - self._refused_share)))
            )
            self._refused_share = 0.0
            self._stay(now, self._home)
        elif kept > 1.05 or (self._exploring and kept >= 0.9):
            self._home, self._rate = self.concurrency, max(rate, self._rate)
            self._growing = False
            if self._exploring:
                self._probe(now, _PROBE_FAR)
            else:
                self._stay(now, self._home, wait=0)
        elif kept <= part * 1.1:
            self._growing = True
            self._climb(now)
        else:
            self._near_knee(now, round(HEADROOM * min(self.concurrency / kept, self._home)))

    def _near_knee(self, now: float, target: int) -> None:
        if target > self._home:
            self._growing = True
            self._climb(now, min(target, max(self._home + 1, round(1.1 * self._home))))
        elif target < 0.93 * self._home:
            self._stay(now, target, wait=0.0)
            self._probe_part = _PROBE_FAR
        else:
            self._stay(now, target)

    def _stay(self, now: float, concurrency: int, *, wait: float = 1.0) -> None:
        self._exploring, self._growing = 0, False
        self._step = min(max(self._step, 0.1), _STEP)
        self._probe_part = _PROBE_NEAR
        self._probe_at = now + max(_PROBE_SECONDS, 4 * (now - self._since)) * wait
        self._cruise(now, min(concurrency, self.ceiling.cap(self.maximum)))

    def _cruise(self, now: float, concurrency: int) -> None:
        self._go(now, Mode.CRUISE, concurrency)
        if self._home != self.concurrency:
            self._home, self._rate = self.concurrency, 0.0

    def _go(self, now: float, mode: Mode, concurrency: int) -> None:
        self.mode = mode
        self.concurrency = max(self.minimum, min(concurrency, self.maximum))
        self._since = now
        self._settled = self._begun = False
        self._passed = 0
        self._begin_round()

    def _begin_round(self) -> None:
        self._in_round = self._withheld = self._failed = 0
        self._refused_with = math.inf

    def _measure(self, now: float) -> None:
        self._settled = True
        self._window = Window(now)
