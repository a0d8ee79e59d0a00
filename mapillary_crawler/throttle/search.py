"""Pure: looks for the concurrency at which throughput stops growing.

The rate of good answers is measured at one concurrency after another. At first it doubles, as
long as the rate grows; from then on a lower concurrency is tried now and again: what the rate
keeps there tells where it stops growing, and the search stays a little above. A rise is kept
only if the rate agrees. A round is as many answers as the concurrency, about one round trip.

A refused transfer (429, 503) gives up its place until the end of its round, but one round trip
takes away no more than half. What was refused was begun beside so many others: that tells the
server's ceiling. Where that was too much, the search goes back to what took many answers without
a refusal. Failures by the half of a round halve the concurrency, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from mapillary_crawler.throttle.ceiling import Ceiling, Trial
from mapillary_crawler.throttle.refusals import Refusals
from mapillary_crawler.throttle.rounds import Round, Rounds
from mapillary_crawler.throttle.window import MOST_SECONDS, Outcome

#: How far above the knee to stay: a real knee is round, and the measure has noise.
HEADROOM = 1.3
#: By which part to climb once the best concurrency is near; doubled where the rate agrees.
_STEP, _LEAST_STEP = 0.3, 0.07
#: Seconds between two looks below, at least and at most; where nothing can be gained, so many
#: times as long.
_PROBE_SECONDS, _PROBE_LAST, _PROBE_RARELY = 8.0, 16.0, 3.0
#: Where to look: a part of the concurrency at first and after changes, another later on, and
#: the next one below where a rise did harm.
_PROBE_FAR, _PROBE_NEAR, _PROBE_NEXT = 0.5, 0.7, 0.94
#: Relative standard errors that a measure may have, while exploring and afterwards.
_QUICK, _ACCURATE = 0.08, 0.03
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
    _refusals: Refusals = field(default_factory=Refusals)
    #: Exploring goes in large steps: 1 up, -1 down, 0 is over.
    _exploring: int = 1
    #: By which part to climb; and whether the rate is known to grow up to home.
    _step: float = 1.0
    _growing: bool = False
    #: Whether the rate grows less than home does: the knee may lie below it.
    _past: bool = False
    #: Whether more would do better, but for the ceiling.
    _capped: bool = False
    _probe_at: float = 0.0
    _probe_part: float = _PROBE_NEAR
    _went_at: float = 0.0
    _rounds: Rounds = field(init=False)
    _trial: Trial | None = None

    def __post_init__(self) -> None:
        self._home = self.concurrency
        self._rounds = Rounds(self.concurrency)

    @property
    def limit(self) -> int:
        """Transfers that may be in flight now."""
        if self._trial is not None:
            return self._home if self._trial.begun else self.concurrency
        least = max(self.minimum, self.concurrency // 2)
        return max(least, self.concurrency - self._rounds.withheld)

    def restart(self, now: float, concurrency: int) -> None:
        """Begin anew, as after an outage."""
        self.ceiling.forget()
        self._exploring, self._step, self._growing, self._rate = 1, 1.0, False, 0.0
        self._cruise(now, concurrency)

    def interrupt(self, seconds: float) -> None:
        """Measure anew from the next round on: the server wants to be left alone for so long."""
        self.ceiling.waits = seconds
        self._rounds.settled = False

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
        if self._trial is not None:
            self._trial.look(in_flight)
        if self._rounds.was_begun_before(now, latency, in_flight):
            return
        if self._trial is not None:
            self._judge(now, self._trial.judge(now, outcome, begun_with))
            return
        if outcome is Outcome.GOOD:
            self.ceiling.good()
        if self.mode in (Mode.CRUISE, Mode.CLIMB):
            self._refusals.count(outcome, begun_with)
        ended = self._rounds.count(
            latency, size, outcome, begun_with=begun_with, in_flight=in_flight, limit=self.limit
        )
        if ended is not None:
            self._end_round(now, ended)

    def _end_round(self, now: float, ended: Round) -> None:
        rounds = self._rounds
        climbing = self.mode is Mode.CLIMB
        if self.mode is Mode.CRUISE and self._refusals.none():
            self.ceiling.proven = max(self.ceiling.proven, self.concurrency)
        if ended.refused > self._refusals.tolerable(self.concurrency, climbing=climbing):
            self._refused(now, ended)
        elif ended.failed >= max(4, self.concurrency / 2):
            self._cruise(now, self.concurrency // 2)
        elif self.mode is Mode.CRUISE and self._refusals.suspicious():
            self._suspect(now)
        elif climbing and self._refusals.too_many():
            self._refused(now, ended)
        elif not rounds.settled:
            rounds.measure(now)
        elif self._enough(now):
            if rounds.window.usable():
                self._decide(now)
            elif self.mode is Mode.CRUISE:
                rounds.measure(now)
            else:
                self._unused(now)

    def _unused(self, now: float) -> None:
        """Count a climb as one to what was made use of; the rest is not kept."""
        used = round(self._rounds.window.in_flight)
        if self.mode is Mode.CLIMB and self._rate and used > self._home:
            self.concurrency = used
            self._climbed(now, self._rounds.window.rate)
        else:
            self._cruise(now, self._home)

    def _refused(self, now: float, ended: Round) -> None:
        """Go down to what the server took, by half at most."""
        self._exploring, self._probe_at = 0, now
        if self.ceiling.fall_back(now, self.concurrency):
            self._cruise(now, self.ceiling.proven)
            return
        most = self.concurrency - ended.refused + 1
        if self.mode is Mode.CLIMB and self._home < ended.refused_with <= self.concurrency:
            most = int(ended.refused_with) - 1
        self.ceiling.found(now, max(most, self.concurrency // 2, self.minimum))
        self._cruise(now, self.ceiling.cap(self.maximum))

    def _suspect(self, now: float) -> None:
        """Go back to what took no refusals; where nothing is proven, look below."""
        if self.ceiling.fall_back(now, self.concurrency):
            self._stay(now, self.ceiling.proven)
        else:
            self._go(now, Mode.PROBE, int(self._home * _PROBE_NEAR))

    def _judge(self, now: float, taken: bool | None) -> None:
        """End a trial that is decided: with a bolder one, or at what the server took."""
        if taken is None:
            return
        if not taken:
            self.ceiling.held(now)
        elif self.concurrency >= self.maximum:
            self.ceiling.forget()
        else:
            self.ceiling.passed(self.concurrency)
            self._try(now)
            return
        self._climb(now, self.ceiling.cap(self.maximum))

    def _try(self, now: float) -> None:
        assert self.ceiling.value is not None
        self._go(now, Mode.TRIAL, self.ceiling.trial())
        self._trial = Trial(self.concurrency, self.ceiling.value, now)

    def _enough(self, now: float) -> bool:
        window = self._rounds.window
        if self.mode is Mode.PROBE:
            proven = self._refusals.enough(window) or now - window.began > MOST_SECONDS
            return proven and window.enough(now, _ACCURATE)
        quick = self._exploring and self._step >= _STEP
        return window.enough(now, _QUICK if quick else _ACCURATE)

    def _decide(self, now: float) -> None:
        rate = self._rounds.window.rate
        if self.mode is Mode.CRUISE:
            self._cruised(now, rate)
        elif self.mode is Mode.CLIMB:
            self._climbed(now, rate)
        else:
            self._probed(now, rate)

    def _cruised(self, now: float, rate: float) -> None:
        before, self._rate = self._rate, rate
        if before and not _CHANGED_LESS < rate / before < _CHANGED_MORE:
            self._exploring, self._growing = (1 if rate > before else -1), False
            self._step = 1.0
            self._rounds.measure(now)
            return
        if before:
            self._rate = (before + rate) / 2
        if self._exploring > 0 and self._rounds.window.latency < _SLOW:
            self._climb(now)
        elif self._exploring:
            self._probe(now, _PROBE_FAR)
        elif now >= self._probe_at:
            self._probe(now, self._probe_part)
        elif self._capped and self.ceiling.may_be_tried(now):
            self._try(now)
        else:
            self._rounds.measure(now)

    def _climb(self, now: float, target: int = 0) -> None:
        target = target or max(self._home + 1, int(self._home * (1 + self._step)))
        target = min(target, self.ceiling.cap(self.maximum))
        if target > self._home and self._rate:
            self._go(now, Mode.CLIMB, target)
        else:
            self._stay(now, self._home, wait=_PROBE_RARELY)
            self._capped = True

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
        comfortable = _comfortable(self._home)
        if not self._growing and self._home > self.minimum:
            self._probe(now, _PROBE_FAR if self._exploring else _PROBE_NEAR)
        elif flat and self.concurrency > comfortable:
            self._climb(now, comfortable)
        elif flat:
            self._stay(now, (self.concurrency + self._home + 1) // 2)
        elif self._step >= _LEAST_STEP and self._step * self._home >= 1:
            self._climb(now)
        elif self._past:
            self._probe(now, _PROBE_NEXT)
        else:
            self._stay(now, self._home, wait=_PROBE_RARELY)

    def _probe(self, now: float, part: float) -> None:
        target = max(self.minimum, int(self._home * part))
        if target < self._home and self._rate:
            self._go(now, Mode.PROBE, target)
        else:
            self._growing = True
            self._climb(now)

    def _probed(self, now: float, rate: float) -> None:
        if self._refusals.fewer(self._rounds.window):
            self.ceiling.found(now, max(self.concurrency, self._refusals.admitted()))
            self._stay(now, self._home)
            return
        if not self._rate:
            self._cruise(now, self._home)
            return
        kept, part = rate / self._rate, self.concurrency / self._home
        if part > _PROBE_NEAR + 0.1:
            self._stay(now, self.concurrency if kept > 1.02 else self._home, wait=_PROBE_RARELY)
        elif kept < 0.75 * part:  # worse than it can be: the server changes, look again
            self._probe_at = now + _PROBE_SECONDS
            self._cruise(now, self._home)
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
            self._near_knee(now, _comfortable(min(self.concurrency / kept, self._home)))

    def _near_knee(self, now: float, target: int) -> None:
        if target > self._home:
            self._growing = self._past = True
            self._climb(now, min(target, max(self._home + 1, round(1.1 * self._home))))
        elif target < 0.93 * self._home:
            self._stay(now, target, wait=0.0)
            self._probe_part = _PROBE_FAR
        else:
            self._stay(now, target)

    def _stay(self, now: float, concurrency: int, *, wait: float = 1.0) -> None:
        self._exploring = 0
        self._growing = self._past = self._capped = False
        self._step = min(max(self._step, 0.1), _STEP)
        self._probe_part = _PROBE_NEAR
        usual = min(max(_PROBE_SECONDS, 4 * (now - self._went_at)), _PROBE_LAST)
        self._probe_at = now + usual * wait
        self._cruise(now, min(concurrency, self.ceiling.cap(self.maximum)))

    def _cruise(self, now: float, concurrency: int) -> None:
        self._go(now, Mode.CRUISE, concurrency)
        if self._home != self.concurrency:
            self._home, self._rate = self.concurrency, 0.0

    def _go(self, now: float, mode: Mode, concurrency: int) -> None:
        self.mode = mode
        self.concurrency = max(self.minimum, min(concurrency, self.maximum))
        self._went_at = now
        self._trial = None
        if mode in (Mode.CRUISE, Mode.CLIMB):
            self._refusals.begin(self.concurrency)
        self._rounds.begin(now, self.concurrency)


def _comfortable(knee: float) -> int:
    """Return where to stay for a knee; one transfer alone leaves the line idle between two."""
    return max(2, round(HEADROOM * knee))
