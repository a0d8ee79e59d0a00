"""Settings that nobody reads, and that are one letter from one that is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mapillary_crawler.collection.configuration_file import SETTINGS

#: What is read from the environment alone.
_OF_THE_ENVIRONMENT = frozenset(
    {"MAPILLARY_TOKEN", "MAPILLARY_STORE_ROOT", "MAPILLARY_TRUSTED_API_HOST"}
)


def misspelt(given: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return a line for each setting, given or of the environment, that is nearly one of ours.

    One letter is too many, missing, another, or has changed places with the next. `given` are
    ours, or names that nobody reads.
    """
    names = SETTINGS | _OF_THE_ENVIRONMENT
    lines = []
    for name in sorted({*given, *environment} - names):
        meant = next((other for other in sorted(names) if _is_one_edit(name, other)), None)
        if meant:
            lines.append(f"{name} is no setting, and has no effect; {meant} is one")
    return lines


def _is_one_edit(one: str, other: str) -> bool:
    if len(one) == len(other):
        pairs = zip(one, other, strict=True)
        places = [place for place, (here, there) in enumerate(pairs) if here != there]
        if len(places) == 2:
            first, last = places
            return last == first + 1 and one[first] + one[last] == other[last] + other[first]
        return len(places) == 1
    shorter, longer = sorted((one, other), key=len)
    return len(longer) == len(shorter) + 1 and any(
        longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer))
    )
