"""Pure: what can go wrong with archive.org, and which of it passes by itself."""

from __future__ import annotations

import re
from html import unescape

from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.terminal.quoting import one_line

_CODE = re.compile("<Code>(.{1,100}?)</Code>", re.DOTALL)
_MESSAGE = re.compile("<Message>(.{1,2000}?)</Message>", re.DOTALL)
_RESOURCE = re.compile("<Resource>(.{1,2000}?)</Resource>", re.DOTALL)
#: A resource that is the request itself, as S3 at other providers has it.
_REQUEST = re.compile(r"\S*|.*'PUT\b.*", re.DOTALL)
#: The header of keys, should an answer quote it.
_KEYS = re.compile(r"LOW [^\s:]+:\S+")
#: Characters of each that are shown.
_LONGEST = 500
#: S3 error codes that a later try clears, whatever their status.
_TRANSIENT_CODES = frozenset({"RequestTimeout", "OperationAborted", "InternalError"})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})


class CredentialsMissing(ProjectError):
    """There are no keys, or only half of them; the message says where they are looked for."""

    outcome = Outcome.REFUSED


class NoKeys(CredentialsMissing):
    """There are no keys anywhere."""


class Trouble(ProjectError):
    """archive.org did not do what it was asked; the message is one line."""


class Denied(Trouble):
    """archive.org said no, and would again; `status` is its HTTP status.

    `explained` says that the message has its own words for why.
    """

    def __init__(self, message: str, status: int, *, explained: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.explained = explained


class Unavailable(Trouble):
    """Something that passes: no answer, an answer cut off, or a server's own error.

    `retry_after` is the Retry-After header as sent.
    """

    outcome = Outcome.SERVICE_AWAY

    def __init__(self, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SlowDown(Unavailable):
    """archive.org's S3 is overloaded; `check_limit` says when it no longer is."""


class BadDigest(Unavailable):
    """What arrived is not what was sent, or not what Content-MD5 says."""


class StillUnavailable(Trouble):
    """archive.org stayed unavailable for too long."""

    outcome = Outcome.SERVICE_AWAY


def trouble(status: int, body: bytes, retry_after: str | None = None) -> Trouble:
    """Return what an answer that is no success means.

    IA-S3: errors are XML with Code, Message and Resource. The message belongs to the code; what
    happened and what to do, as which of its reasons an AccessDenied has, is in the resource.
    503 is SlowDown, except where it calls the upload spam, which no retry changes.
    """
    text = body[:10_000].decode("utf-8", "replace")
    code, message, resource = (_found(each, text) for each in (_CODE, _MESSAGE, _RESOURCE))
    if _REQUEST.fullmatch(resource):
        resource = ""
    words = " - ".join(filter(None, (message, resource)))
    said = f"HTTP {status}" + (f" {code}" if code else "") + (f": {words}" if words else "")
    if code == "BadDigest":
        return BadDigest(said)
    if "appears to be spam" in text:
        return Denied(said, status, explained=bool(resource))
    if status == 503 and code in ("SlowDown", ""):
        return SlowDown(said, retry_after)
    if status >= 500 or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES:
        return Unavailable(said, retry_after)
    return Denied(said, status, explained=bool(resource))


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return one_line(_KEYS.sub("LOW …", unescape(found[1])), _LONGEST) if found else ""


def denied_words(title: str, denied: Denied) -> str:
    """Return in one line that archive.org has refused an upload, and what may be the reason."""
    if denied.explained or denied.status not in {401, 403}:
        return f"{title}: archive.org refused it: {denied}"
    return (
        f"{title}: archive.org refused these keys ({denied}): they are wrong, the "
        "item is another account's, or only members may put items into its collection; "
        "IA_COLLECTION names another"
    )
