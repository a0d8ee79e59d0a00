"""The time by which a run waits: it only goes forward, whatever becomes of the machine's clock.

The ledger's `retry_at` are such times. They mean nothing to another run, which begins by making
everything due.
"""

from __future__ import annotations

import time

#: Seconds since 1970 when the monotonic clock was at 0, as the process began.
_ZERO = time.time() - time.monotonic()


def now() -> float:
    """Return seconds since 1970 as the process counts them."""
    return _ZERO + time.monotonic()
