"""Pure: why an attempt at an image came to nothing, and what follows from it."""

from __future__ import annotations

import math
import re
from random import Random

from mapillary_crawler.graph.backoff import full_jitter
from mapillary_crawler.image.inspection import DamagedImage, NotAnImage
from mapillary_crawler.ledger.records import FailedAttempt
from mapillary_crawler.terminal.quantities import moment

#: Seconds of back-off between attempts at one image: base and cap.
_BASE, _CAP = 1.0, 60.0
#: Seconds that one image is waited for in a run, where its answer asks for that.
_LONGEST_WAIT = 3600.0
#: Attempts after which it may be the URL, or its host, that fails.
_STUCK = 3
#: Statuses that say something of the URL or the image, not of the CDN.
REFUSED_URL = frozenset({403, 404, 410})


#: What Meta's CDN says of URLs that it refuses.
_WORDS = re.compile(
    r"URL signature (expired|mismatch)|Bad URL (hash|timestamp)|not found|forbidden", re.IGNORECASE
)


class Refusal(Exception):
    """The CDN answered with something else than the image."""

    def __init__(self, status: int, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        #: Seconds for which this image is to be left alone.
        self.wait = wait


class UrlRefused(Exception):
    """The URL leads where no image server is; nothing was sent there."""


class TransferFailed(Exception):
    """No whole answer came: no connection, a reset, a time-out, a short body."""


def refuse_status(status: int, body: bytes, wait: float | None = None) -> None:
    """Raise `Refusal` unless the status says that the body is the image.

    `wait` is the answer's Retry-After, in seconds.
    """
    if status != 200:
        said = f"HTTP {status} {_said(body)}".rstrip()
        if wait:
            said += f", asks to wait until {moment(wait)}"
        raise Refusal(status, said, wait or 0.0)


def _said(body: bytes) -> str:
    """Return what a refusal says, in words that are known: any other might hold a secret."""
    words = _WORDS.search(" ".join(body[:500].decode("latin-1").split()))
    if words:
        return words.group()
    start = body[:200].lstrip()
    kinds = ((b"<", "with a web page"), (b"{", "with JSON"), (b"\xff\xd8", "with a JPEG"))
    found = (kind for marker, kind in kinds if start.startswith(marker))
    return next(found, "with other text" if start else "")


def is_gone(trouble: Exception, *, fresh: bool) -> bool:
    """Say whether the image no longer exists: 404 or 410 on a fresh URL."""
    return fresh and isinstance(trouble, Refusal) and trouble.status in (404, 410)


def failure(
    number: int,
    trouble: Exception,
    *,
    attempts: int,
    most_attempts: int,
    now: float,
    fresh: bool,
    outage: bool,
    random: Random,
) -> FailedAttempt:
    """Return what the ledger is to know of a failed attempt.

    What hits the CDN as a whole costs the image no attempt, and neither does a URL that
    was refused before the service was asked for a fresh one. A URL that failed several times
    is replaced, too. An image that has used its attempts is not due again in this run.
    """
    refused_url = isinstance(trouble, Refusal) and trouble.status in REFUSED_URL
    damaged = isinstance(trouble, DamagedImage)
    useless = damaged or isinstance(trouble, (NotAnImage, UrlRefused))
    counts = (damaged or not outage) and not (refused_url and not fresh)
    if refused_url and not fresh:
        retry_at = now
    elif counts and attempts + 1 >= most_attempts:
        retry_at = math.inf
    else:
        retry_at = now + full_jitter(attempts, _BASE, _CAP, random)
    if isinstance(trouble, Refusal) and trouble.wait:
        # One image never holds a run for longer than this.
        retry_at = max(retry_at, now + trouble.wait) if trouble.wait <= _LONGEST_WAIT else math.inf
    return FailedAttempt(
        number=number,
        error=f"{type(trouble).__name__}: {trouble}",
        retry_at=retry_at,
        counts=counts,
        drop_url=refused_url or useless or (counts and attempts + 1 >= _STUCK),
    )
