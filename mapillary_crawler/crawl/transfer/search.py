"""Pure: looks for the concurrency at which throughput stops growing.

The rate of good answers is measured at one concurrency after another, in the order that
`hill_climb` has. A round is as many answers as the concurrency, about one round trip.

A refused transfer (429, 503) gives up its place until the end of its round, but one round trip
takes away no more than half. What was refused was begun beside so many others: that tells the
server's ceiling. Where that was too much, the search goes back to what took many answers without
a refusal. Failures by the half of a round halve the concurrency, too.
"""

from __future__ import annotations

from mapillary_crawler.crawl.transfer.ceiling import Ceiling, Trial
from mapillary_crawler.crawl.transfer.hill_climb import HillClimb, Mode
from mapillary_crawler.crawl.transfer.refusals import Refusals
from mapillary_crawler.crawl.transfer.rounds import Round, Rounds
from mapillary_crawler.crawl.transfer.window import MOST_SECONDS, TransferOutcome

#: Relative standard errors that a measure may have, while exploring and afterwards.
_QUICK, _ACCURATE = 0.08, 0.03


class ConcurrencySearch:
    """Finds the best concurrency between `minimum` and `maximum`, beginning with `concurrency`."""

    def __init__(self, concurrency: int, minimum: int, maximum: int) -> None:
        self.minimum, self.maximum = minimum, maximum
        self.ceiling = Ceiling()
        self._climb = HillClimb(concurrency, minimum, maximum, self.ceiling)
        self._rounds = Rounds(concurrency)
        self._refusals = Refusals()
        self._trial: Trial | None = None

    @property
    def concurrency(self) -> int:
        """Transfers that are tried now."""
        return self._climb.concurrency

    @property
    def mode(self) -> Mode:
        """What they are tried for."""
        return self._climb.mode

    @property
    def limit(self) -> int:
        """Transfers that may be in flight now."""
        if self._trial is not None:
            return self._climb.home if self._trial.begun else self.concurrency
        least = max(self.minimum, self.concurrency // 2)
        return max(least, self.concurrency - self._rounds.withheld)

    def restart(self, now: float, concurrency: int) -> None:
        """Begin anew, as after an outage."""
        self.ceiling.forget()
        self._climb.restart(now, concurrency)
        self._begin(now)

    def interrupt(self, seconds: float) -> None:
        """Measure anew from the next round on: the server wants to be left alone for so long."""
        self.ceiling.waits = seconds
        self._rounds.settled = False

    def finished(
        self,
        now: float,
        latency: float,
        size: int,
        outcome: TransferOutcome,
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
        if outcome is TransferOutcome.GOOD:
            self.ceiling.good()
        if self.mode in (Mode.CRUISE, Mode.CLIMB):
            self._refusals.count(outcome, begun_with)
        ended = self._rounds.count(
            latency, size, outcome, begun_with=begun_with, in_flight=in_flight, limit=self.limit
        )
        if ended is not None:
            self._end_round(now, ended)

    def _end_round(self, now: float, ended: Round) -> None:
        rounds, cruising = self._rounds, self.mode is Mode.CRUISE
        climbing = self.mode is Mode.CLIMB
        if cruising and self._refusals.none():
            self.ceiling.proven = max(self.ceiling.proven, self.concurrency)
        if ended.refused > self._refusals.tolerable(self.concurrency, climbing=climbing):
            self._refused(now, ended)
        elif ended.failed >= max(4, self.concurrency / 2):
            self._climb.cruise(now, self.concurrency // 2)
            self._begin(now)
        elif cruising and self._refusals.suspicious():
            self._suspect(now)
        elif climbing and self._refusals.too_many():
            self._refused(now, ended)
        elif not rounds.settled:
            rounds.measure(now)
        elif self._enough(now):
            if rounds.window.usable():
                self._decide(now)
            elif cruising:
                rounds.measure(now)
            else:
                self._unused(now)

    def _unused(self, now: float) -> None:
        """Count a climb as one to what was made use of; the rest is not kept."""
        climb, used = self._climb, round(self._rounds.window.in_flight)
        if self.mode is Mode.CLIMB and climb.rate and used > climb.home:
            climb.concurrency = used
            climb.climbed(now, self._rounds.window.rate)
        else:
            climb.cruise(now, climb.home)
        self._begin(now)

    def _refused(self, now: float, ended: Round) -> None:
        """Go down to what the server took, by half at most."""
        if self.ceiling.fall_back(now, self.concurrency):
            self._climb.retreat(now, self.ceiling.proven)
        else:
            most, home = self.concurrency - ended.refused + 1, self._climb.home
            if self.mode is Mode.CLIMB and home < ended.refused_with <= self.concurrency:
                most = int(ended.refused_with) - 1
            self.ceiling.found(now, max(most, self.concurrency // 2, self.minimum))
            self._climb.retreat(now, self.ceiling.cap(self.maximum))
        self._begin(now)

    def _suspect(self, now: float) -> None:
        """Go back to what took no refusals; where nothing is proven, look below."""
        if self.ceiling.fall_back(now, self.concurrency):
            self._climb.stay(now, self.ceiling.proven)
        else:
            self._climb.look_below(now)
        self._begin(now)

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
        self._climb.climb(now, self.ceiling.cap(self.maximum))
        self._begin(now)

    def _try(self, now: float) -> None:
        """Let a few transfers more than the ceiling begin, to see whether it is still there."""
        assert self.ceiling.value is not None
        self._climb.go(now, Mode.TRIAL, self.ceiling.trial())
        self._begin(now)
        self._trial = Trial(self.concurrency, self.ceiling.value, now)

    def _enough(self, now: float) -> bool:
        window = self._rounds.window
        if self.mode is Mode.PROBE:
            proven = self._refusals.enough(window) or now - window.began > MOST_SECONDS
            return proven and window.enough(now, _ACCURATE)
        return window.enough(now, _QUICK if self._climb.in_large_steps else _ACCURATE)

    def _decide(self, now: float) -> None:
        window = self._rounds.window
        if self.mode is Mode.PROBE and self._refusals.fewer(window):
            self.ceiling.found(now, max(self.concurrency, self._refusals.admitted()))
            self._climb.stay(now, self._climb.home)
        elif self._climb.measured(now, window.rate, window.latency):
            if self._climb.capped and self.ceiling.may_be_tried(now):
                self._try(now)
            else:
                self._rounds.measure(now)
            return
        self._begin(now)

    def _begin(self, now: float) -> None:
        """Count for the concurrency where the search is now."""
        self._trial = None
        if self.mode in (Mode.CRUISE, Mode.CLIMB):
            self._refusals.begin(self.concurrency)
        self._rounds.begin(now, self.concurrency)
