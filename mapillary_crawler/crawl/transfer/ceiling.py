"""Pure: the concurrency above which a server refuses, remembered and rarely tried again."""

from __future__ import annotations

from dataclasses import dataclass

from mapillary_crawler.crawl.transfer.window import TransferOutcome

#: Seconds for which a ceiling is left alone, at first and at most: doubled at each refusal.
_FIRST, _LAST = 10.0, 30.0
#: Seconds for which it is left alone once it is known to the transfer, and at most for the sake of
#: what a refusal costs: a server that has recovered is to be found within a minute.
_EDGE = 50.0
#: Good answers that come before a ceiling is tried, so that refusals stay below one in a hundred.
_ANSWERS = 600
#: Of the time, about one in so many seconds is spent waiting because of trials.
_WAIT_PART = 30.0
#: Part of a ceiling that is kept free: a server may see a transfer end later than we do.
_MARGIN = 0.05
#: Seconds after which a trial counts as refused: a transfer that stalls shall not hold it up.
_VERDICT_SECONDS = 10.0


@dataclass(slots=True)
class Ceiling:
    """What is known of a server's ceiling; `value` is the most that it took, None if unknown."""

    value: int | None = None
    #: The concurrency that took many answers without a refusal; 0 is unknown.
    proven: int = 0
    #: Seconds for which the server wants to be left alone after a refusal.
    waits: float = 0.0
    _since: float = 0.0
    _hold: float = _FIRST
    _good: int = 0
    _step: int = 1

    def cap(self, maximum: int) -> int:
        """Return the concurrency to stay at or below."""
        if self.value is None:
            return maximum
        return max(1, self.value - round(self.value * _MARGIN), self.proven)

    def good(self) -> None:
        """Count a good answer."""
        self._good += 1

    def found(self, now: float, value: int) -> None:
        """Note a ceiling that was met without trying."""
        self._note(now, value, _FIRST)

    def held(self, now: float) -> None:
        """Note that a trial was refused: the next one comes later."""
        self._note(now, self.value, min(_LAST, 2 * self._hold))

    def fall_back(self, now: float, concurrency: int) -> bool:
        """Note that `concurrency` is too much: say whether what is proven is less, and must do.

        If not, nothing is proven any more.
        """
        if 0 < self.proven < concurrency:
            self._note(now, self.proven, _EDGE)
            return True
        self.proven = 0
        return False

    def forget(self) -> None:
        """Know of no ceiling."""
        self.value, self.proven = None, 0

    def may_be_tried(self, now: float) -> bool:
        """Say whether enough time and good answers have passed since the last refusal."""
        if self.value is None:
            return False
        age, least = now - self._since, min(_WAIT_PART * self.waits, _EDGE)
        rested = age >= self._hold and self._good >= _ANSWERS
        return age >= least and (rested or age >= max(_LAST, self._hold))

    def trial(self) -> int:
        """Return the concurrency to try."""
        assert self.value is not None
        return self.value + self._step

    def passed(self, concurrency: int) -> None:
        """Note that a trial was not refused: the next one is bolder, within a quarter."""
        self.value = concurrency
        self._step = max(1, min(2 * self._step, concurrency // 4))

    def _note(self, now: float, value: int | None, hold: float) -> None:
        self.value = value
        self._since, self._hold, self._good, self._step = now, hold, 0, 1


@dataclass(slots=True)
class Trial:
    """A few transfers begun beside more than `ceiling`; no others are until they are judged."""

    concurrency: int
    ceiling: int
    since: float
    begun: bool = False
    _taken: int = 0

    def look(self, in_flight: int) -> None:
        """Notice that all transfers of the trial have begun: no more shall."""
        self.begun = self.begun or in_flight >= self.concurrency

    def judge(self, now: float, outcome: TransferOutcome, begun_with: int) -> bool | None:
        """Look at a finished transfer; True: the server takes so many, False: it refuses."""
        if now - self.since > _VERDICT_SECONDS:
            return False
        if begun_with <= self.ceiling:
            return None
        if outcome is TransferOutcome.REFUSED:
            return False
        self._taken += 1
        # One more than these is begun before the first of all is known to have ended.
        return self._taken > self.concurrency - self.ceiling or None
