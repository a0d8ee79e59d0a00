"""What the sandbox saw: requests by endpoint and by image, and how many at once."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .answer import Request


class Counters:
    """Counts since the start or the last reset; memory only for images that were asked for."""

    def __init__(self) -> None:
        #: Requests under way by surface; not reset, they are still there.
        self.in_flight: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Start again from zero."""
        #: Requests by surface: api, cdn, archive.
        self.requests: Counter[str] = Counter()
        #: Requests by endpoint, for example `/images` or `/{id}`.
        self.endpoints: Counter[str] = Counter()
        #: Answers by surface and status, for example `cdn 200`.
        self.answers: Counter[str] = Counter()
        #: Faults dealt out, for example `cdn.reset`.
        self.faults: Counter[str] = Counter()
        #: Requests to api and archive by path and query.
        self.targets: Counter[str] = Counter()
        #: Requests to the CDN by image id.
        self.images: Counter[str] = Counter()
        self.max_in_flight: Counter[str] = Counter(self.in_flight)
        #: Requests to the CDN that carried an Authorization header; must stay 0.
        self.cdn_authorization = 0
        #: Requests with a token in the query string.
        self.query_tokens = 0

    @contextmanager
    def flight(self, surface: str) -> Iterator[None]:
        """Count a request and, while it lasts, that it is under way."""
        self.requests[surface] += 1
        self.in_flight[surface] += 1
        self.max_in_flight[surface] = max(self.max_in_flight[surface], self.in_flight[surface])
        try:
            yield
        finally:
            self.in_flight[surface] -= 1

    def count(self, surface: str, request: Request, key: str) -> int:
        """Count a request for a key (an image id, or path and query); return how many there were.

        An image request without a good signature has no key and is not counted by image.
        """
        self.query_tokens += "access_token" in request.query
        if surface == "cdn":
            self.endpoints["cdn"] += 1
            self.cdn_authorization += "Authorization" in request.headers
            counts = self.images
        else:
            self.endpoints[_endpoint(surface, request.path)] += 1
            counts = self.targets
        if not key:
            return 1
        counts[key] += 1
        return counts[key]

    def report(self, *, images: bool = False) -> dict[str, Any]:
        """Return all counts; `images` adds the requests of each image id."""
        counts = self.images
        summary: dict[str, Any] = {
            "ids": len(counts),
            "total": counts.total(),
            "max": max(counts.values(), default=0),
            "repeated": sum(1 for count in counts.values() if count > 1),
        }
        if images:
            summary["requests"] = dict(counts)
        return {
            "images": summary,
            "requests": dict(self.requests),
            "endpoints": dict(self.endpoints),
            "answers": dict(self.answers),
            "faults": dict(self.faults),
            "in_flight": {name: self.in_flight[name] for name in ("api", "cdn", "archive")},
            "max_in_flight": {name: self.max_in_flight[name] for name in ("api", "cdn", "archive")},
            "cdn_authorization": self.cdn_authorization,
            "query_tokens": self.query_tokens,
        }


def _endpoint(surface: str, path: str) -> str:
    if path in ("/images", "/image_ids"):
        return path
    if surface == "archive":
        return "/" + path.split("/")[1]
    return "/?ids" if path == "/" else "/{id}"
