"""Pure: takes the token out of what the API answers, should an answer echo it.

A row's text becomes EXIF, paths, the ledger and manifests, and a cursor becomes a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: What a body has that holds a token: as it is, with escaped characters, or not in UTF-8.
_SUSPICIOUS = re.compile(rb"MLY|OAuth |access_token=|\\u00[2-7]|\0", re.IGNORECASE)


def without_echoes(
    body: bytes, data: dict[str, Any], secrets: list[str], redact: Callable[[str], str]
) -> dict[str, Any]:
    """Return the data of a body without `secrets` and what else `redact` takes out of texts.

    Most bodies are looked at once, which is cheap; only what might hold one is walked through.
    """
    known = any(secret.encode() in body for secret in secrets)
    if not known and not _SUSPICIOUS.search(body):
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
