"""Pure: sizes and spans of time as people write them in settings and arguments.

Decimal units are powers of 1000, those with an `i` of 1024, as in SI and IEC 80000-13.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

_SIZES = {
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgtp", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgtp", 1)},
}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

SIZE_FORMS = "a number of bytes, or one with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB behind it"
SPAN_FORMS = "a number of seconds, or one with s, m, h or d behind it"

_WRITTEN = re.compile(
    r"(?P<number>[+-]?[0-9][0-9_]{0,30}(?:\.[0-9]{1,30})?(?:[eE]\+?[0-9]{1,2})?)"
    r" ?(?P<unit>[A-Za-z]*)"
)


def read_size(value: str, *, plain: bool = True) -> int:
    """Return bytes, of which a fraction does not count: `1GB` is 10^9, `10 MiB` 10 * 2^20.

    Capitals do not matter. Raises `ValueError` with what may be written; without `plain`
    a unit must be there.
    """
    return int(_read(value, _SIZES, SIZE_FORMS, str.lower, plain=plain))


def read_span(value: str, *, plain: bool = True) -> float:
    """Return seconds: `90m` is 5400; raises `ValueError` as `read_size` does.

    Small letters only: `5M` might be meant for megabytes.
    """
    return float(_read(value, _SPANS, SPAN_FORMS, str, plain=plain))


def _read(
    value: str, units: dict[str, int], forms: str, fold: Callable[[str], str], *, plain: bool
) -> Decimal:
    found = _WRITTEN.fullmatch(value.strip())
    if found and found["unit"] and fold(found["unit"]) in units:
        return Decimal(found["number"]) * units[fold(found["unit"])]
    if found and not found["unit"] and plain:
        return Decimal(found["number"])
    raise ValueError(f"is not understood; write {forms}")
