"""Pure: what can go wrong with archive.org, and which of it passes by itself."""

from __future__ import annotations

import re
from html import unescape

_CODE = re.compile("<Code>(.{1,100}?)</Code>", re.DOTALL)
_MESSAGE = re.compile("<Message>(.{1,500}?)</Message>", re.DOTALL)
#: S3 error codes that a later try clears, whatever their status.
_TRANSIENT_CODES = frozenset({"RequestTimeout", "OperationAborted", "InternalError"})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})


class Trouble(Exception):
    """archive.org did not do what it was asked; the message is one line."""


class Denied(Trouble):
    """archive.org said no, and would again; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(Trouble):
    """Something that passes: no answer, an answer cut off, or a server's own error.

    `retry_after` is the Retry-After header as sent.
    """

    def __init__(self, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SlowDown(Unavailable):
    """archive.org's S3 is overloaded; `check_limit` says when it no longer is."""


class BadDigest(Unavailable):
    """What arrived is not what was sent, or not what Content-MD5 says."""


class OutOfPatience(Trouble):
    """archive.org stayed unavailable for too long."""


def trouble(status: int, body: bytes, retry_after: str | None = None) -> Trouble:
    """Return what an answer that is no success means.

    IA-S3: errors are XML with Code and Message; 503 is SlowDown, except where it calls the
    upload spam, which no retry changes.
    """
    text = body[:10_000].decode("utf-8", "replace")
    code, message = _found(_CODE, text), _found(_MESSAGE, text)
    said = f"HTTP {status}" + (f" {code}" if code else "") + (f": {message}" if message else "")
    if code == "BadDigest":
        return BadDigest(said)
    if "appears to be spam" in text:
        return Denied(said, status)
    if status == 503 and code in ("SlowDown", ""):
        return SlowDown(said, retry_after)
    if status >= 500 or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES:
        return Unavailable(said, retry_after)
    return Denied(said, status)


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return " ".join(unescape(found[1]).split()) if found else ""
