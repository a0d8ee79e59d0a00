"""Pure: what an address of the viewer asks for."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mapillary_crawler.collection.names import UNKNOWN_DATE
from mapillary_crawler.ledger.viewer_records import UNDATED, Box, Wanted

if TYPE_CHECKING:
    from typing import Any

_EPOCH = date(1970, 1, 1)
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: Images of one request that are named by their numbers.
MOST_NUMBERS = 100_000


class BadQuestion(ValueError):
    """What is asked for cannot be; the message says why."""


def wanted(query: Mapping[str, Any]) -> Wanted:
    """Return which images are asked for; raises `BadQuestion`.

    By `day`, `from`, `to`, `month`, `sequence`, `camera`, `pano` and `bbox`, of which an empty one
    is none, but `sequence`, which is of images without one then.
    """
    pano = _text(query, "pano") or None
    if pano not in (None, "0", "1"):
        raise BadQuestion("pano is 1 or 0")
    return Wanted(
        days=_days(query),
        sequence=_text(query, "sequence") if "sequence" in query else None,
        camera=_text(query, "camera") or None,
        pano=None if pano is None else pano == "1",
        box=box(query),
    )


def _text(query: Mapping[str, Any], name: str) -> str:
    value = query.get(name, "")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise BadQuestion(f"{name} is no text")
    return value


def _days(query: Mapping[str, Any]) -> tuple[int | None, int | None] | None:
    day, month = _text(query, "day"), _text(query, "month")
    first, last = _text(query, "from"), _text(query, "to")
    if sum(map(bool, (day, month, first or last))) > 1:
        raise BadQuestion("day, month, and from with to exclude each other")
    if day == UNKNOWN_DATE:
        return UNDATED, UNDATED
    if day:
        return _day(day), _day(day)
    if month:
        if not _MONTH.fullmatch(month):
            raise BadQuestion("month is YYYY-MM")
        begin = _day(f"{month}-01")
        return begin, begin + monthrange(int(month[:4]), int(month[5:]))[1] - 1
    if first or last:
        return _day(first) if first else None, _day(last) if last else None
    return None


def _day(text: str) -> int:
    """Return the number of a day since 1970."""
    try:
        if _DAY.fullmatch(text):
            return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        pass
    raise BadQuestion(f"a day is YYYY-MM-DD or {UNKNOWN_DATE}")


def day_name(day: int) -> str:
    """Return a day as it is asked for."""
    return UNKNOWN_DATE if day == UNDATED else (_EPOCH + timedelta(days=day)).isoformat()


def box(query: Mapping[str, Any]) -> Box | None:
    """Return the box that is asked for, None for the world; raises `BadQuestion`.

    Longitudes may be beyond 180 degrees, as a map that was turned has them; where west is above
    east, the box crosses the 180th meridian.
    """
    text = query.get("bbox")
    if text in (None, ""):
        return None
    parts = text.split(",") if isinstance(text, str) else text
    try:
        west, south, east, north = map(float, parts)
    except (ValueError, TypeError):
        raise BadQuestion("bbox is west,south,east,north in degrees") from None
    if not all(map(math.isfinite, (west, south, east, north))) or south > north:
        raise BadQuestion("bbox is west,south,east,north in degrees")
    south, north = (max(-90.0, min(90.0, each)) for each in (south, north))
    if east - west >= 360:
        return Box(-180, south, 180, north)
    if max(abs(west), abs(east)) > 180:
        west, east = ((each + 180) % 360 - 180 for each in (west, east))
    return Box(west, south, east, north)


def zoom(query: Mapping[str, Any]) -> float:
    """Return the zoom that is asked for; raises `BadQuestion`."""
    return _number(query, "zoom", 0, 30, 14)


def whole(query: Mapping[str, Any], name: str, most: int, default: int) -> int:
    """Return a whole number from 0 to `most` that is asked for; raises `BadQuestion`."""
    return int(_number(query, name, 0, most, default))


def _number(
    query: Mapping[str, Any], name: str, least: float, most: float, default: float
) -> float:
    text = query.get(name, "")
    if text == "":
        return default
    try:
        value = float(text)
    except (ValueError, TypeError):
        raise BadQuestion(f"{name} is no number") from None
    if math.isnan(value):
        raise BadQuestion(f"{name} is no number")
    return max(least, min(most, value))


def numbers(selection: Mapping[str, Any]) -> list[int] | None:
    """Return the images that a selection names by their numbers, None where it names none.

    Raises `BadQuestion`.
    """
    given = selection.get("numbers")
    if given is None:
        return None
    if (
        not isinstance(given, list)
        or len(given) > MOST_NUMBERS
        or any(type(each) is not int or not 0 < each < 1 << 53 for each in given)
    ):
        raise BadQuestion(f"numbers are those of at most {MOST_NUMBERS:,} images")
    return sorted(set(given))


def named(texts: Sequence[str]) -> list[int]:
    """Return the images that an address names one by one; raises `BadQuestion`."""
    if not all(text.isascii() and text.isdecimal() and len(text) <= 16 for text in texts):
        raise BadQuestion("number is that of an image")
    return sorted(set(map(int, texts)))
