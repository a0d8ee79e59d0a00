"""Pure: takes the token out of what the API answers, should an answer echo it.

A row's text becomes EXIF, paths, the ledger and manifests, and a cursor becomes a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: What a body, in small letters, has that holds a token: as it is, or in another encoding.
_MARKS = (b"mly|", b"mly%7c", b"oauth ", b"access_token=", b"\0")
#: Or with escaped characters.
_ESCAPED = re.compile(rb"\\u00[2-7]")


def without_echoes(
    body: bytes, data: dict[str, Any], secrets: list[str], redact: Callable[[str], str]
) -> dict[str, Any]:
    """Return the data of a body without `secrets` and what else `redact` takes out of texts.

    Most bodies are searched as they are, which is cheap; only what might hold one is walked
    through. "mly" alone stands in some URL of most pages.
    """
    if not _may_hold_one(body, secrets):
        return data
    waiting: list[Any] = [data]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            for name in [name for name in found if redact(name) != name]:
                found[redact(name)] = found.pop(name)
        places = found.items() if isinstance(found, dict) else enumerate(found)
        for place, value in list(places):
            if isinstance(value, str):
                found[place] = redact(value)
            elif isinstance(value, (dict, list)):
                waiting.append(value)
    return data


def _may_hold_one(body: bytes, secrets: list[str]) -> bool:
    if any(secret.encode() in body for secret in secrets):
        return True
    small = body.lower()
    return any(mark in small for mark in _MARKS) or _ESCAPED.search(body) is not None
