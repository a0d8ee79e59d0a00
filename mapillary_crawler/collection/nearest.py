"""Pure: what somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Collection


def nearest(name: str, known: Collection[str]) -> str:
    """Return a question that names the known name which is most like this one, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415  only where something is wrong

    for written in (name, name.upper(), name.lower()):
        if near := get_close_matches(written, known, 1):
            return f"; did you mean {near[0]}?"
    return ""
