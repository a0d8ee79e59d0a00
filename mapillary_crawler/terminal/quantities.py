"""Sizes and spans of time as people read them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(number: float) -> str:
    """Return bytes in decimal units: 512 B, 1.5 GB."""
    unit = 0
    while number >= 999.95 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{number:.0f} B"


def duration(seconds: float) -> str:
    """Return a span of time as 0:05, 2:03:04 or 3 d 02:03."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}"
    if hours:
        return f"{hour}:{minute:02}:{second:02}"
    return f"{minute}:{second:02}"


def moment(seconds: float) -> str:
    """Return when it is so many seconds from now: 2026-11-28 21:05:00 UTC."""
    return f"{datetime.fromtimestamp(time.time() + seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(seconds: float) -> str:
    """Return how long ago something was: 3 d ago, 5 min ago, just now."""
    for length, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {name} ago"
    return "just now"


def rate(number: float) -> str:
    """Return how many a second, with a digit behind the point where they are few."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"
