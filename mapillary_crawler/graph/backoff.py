"""How long to wait before asking again: the server's wish, or a random growing delay."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

#: The longest wish that is told apart from longer ones, in seconds: beyond any patience.
MAX_RETRY_AFTER = 30 * 86_400.0


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, from 0 to `MAX_RETRY_AFTER`.

    RFC 9110, 10.2.3: a whole number of seconds, or an HTTP date. `now` is the time in
    seconds since 1970 that a date is compared with. None where the header is absent or
    neither of the two.
    """
    value = (header or "").strip()
    if value.isascii() and value.isdigit():
        # Compared as text first: thousands of digits are no number that int() would take.
        seconds = float(value) if len(value) < 20 else math.inf
    else:
        try:
            # An HTTP date is always GMT, also where it does not say so.
            seconds = parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def full_jitter(attempt: int, base: float, cap: float, random: Random) -> float:
    """Seconds to wait before retry number `attempt` (from 0): exponential with full jitter.

    Uniform between 0 and base x 2^attempt, at most `cap`, so that requests that failed
    together do not come back together.
    """
    return random.uniform(0.0, _longest(attempt, base, cap))


def half_jitter(attempt: int, base: float, cap: float, random: Random) -> float:
    """Seconds to wait like `full_jitter`, of which half is certain.

    For a server that asks for rest: by chance alone it would get none.
    """
    longest = _longest(attempt, base, cap)
    return random.uniform(longest / 2, longest)


def _longest(attempt: int, base: float, cap: float) -> float:
    return min(cap, base * 2.0 ** min(attempt, 64))
