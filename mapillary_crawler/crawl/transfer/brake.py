"""Pure: keeps the bytes of all images together below a rate."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds without bytes that may be made up for.
_IDLE = 1.0
#: Seconds for which what is begun at once keeps the line busy, so that no transfer creeps for long.
_BUSY = 10.0
#: Transfers that are begun in any case: one alone leaves the line idle between two.
_LEAST = 2


@dataclass(slots=True)
class Brake:
    """A token bucket: who took bytes waits until they are paid for, at `bytes_per_second`.

    Those who come later wait behind them, so all share the rate. Times are in seconds on a clock
    that goes forward.
    """

    bytes_per_second: int
    #: Images that wait here now: they load neither the line nor the server.
    waiting: int = 0
    _paid_at: float | None = None

    def took(self, now: float, size: int) -> float:
        """Take in bytes that came; return the seconds to wait before any more are read."""
        since = now if self._paid_at is None else max(self._paid_at, now - _IDLE)
        self._paid_at = since + size / self.bytes_per_second
        return max(0.0, self._paid_at - now)

    def at_once(self, expected: int) -> int:
        """Return how many transfers of an expected size are worth beginning at once."""
        return max(_LEAST, round(_BUSY * self.bytes_per_second / expected))
