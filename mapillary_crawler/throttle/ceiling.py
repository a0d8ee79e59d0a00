"""Pure: the concurrency above which a server refuses, remembered and rarely tried again."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds for which a ceiling is left alone, at first and at most: doubled at each refusal.
_FIRST, _LAST = 10.0, 30.0
#: Good answers that come before a ceiling is tried, so that refusals stay below one in a hundred.
_ANSWERS = 600
#: Part of a ceiling that is kept free: a server may see a transfer end later than we do.
_MARGIN = 0.05


@dataclass(slots=True)
class Ceiling:
    """What is known of a server's ceiling; `value` is the most that it took, None if unknown."""

    value: int | None = None
    _since: float = 0.0
    _hold: float = _FIRST
    _good: int = 0
    _step: int = 1

    def cap(self, maximum: int) -> int:
        """Return the concurrency to stay at or below."""
        if self.value is None:
            return maximum
        return max(1, self.value - round(self.value * _MARGIN))

    def good(self) -> None:
        """Count a good answer."""
        self._good += 1

    def found(self, now: float, value: int) -> None:
        """Note a ceiling that was met without trying."""
        self._note(now, value, _FIRST)

    def held(self, now: float) -> None:
        """Note that a trial was refused: the next one comes later."""
        self._note(now, self.value, min(_LAST, 2 * self._hold))

    def forget(self) -> None:
        """Know of no ceiling."""
        self.value = None

    def may_be_tried(self, now: float) -> bool:
        """Say whether enough time and good answers have passed since the last refusal."""
        age = now - self._since
        return age >= _LAST or (age >= self._hold and self._good >= _ANSWERS)

    def trial(self) -> int:
        """Return the concurrency to try."""
        assert self.value is not None
        return self.value + self._step

    def passed(self, concurrency: int) -> None:
        """Note that a trial was not refused: the next one is bolder."""
        self.value = concurrency
        self._step *= 2

    def _note(self, now: float, value: int | None, hold: float) -> None:
        self.value = value
        self._since, self._hold, self._good, self._step = now, hold, 0, 1
