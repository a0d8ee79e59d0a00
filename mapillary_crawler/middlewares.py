"""Around every request: the token for those that may carry it, the outcome of those for images."""

from __future__ import annotations

import math
import os
import time
from time import monotonic
from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached

from mapillary_crawler.collection.addresses import is_loopback
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.collection.token import may_have_token, read_token
from mapillary_crawler.crawl.client import retry_after_of
from mapillary_crawler.crawl.failures import UrlRefused
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.downloader import (
    TRANSFER_BESIDE,
    TRANSFER_BRAKED,
    TRANSFER_STARTED,
)
from mapillary_crawler.crawl.transfer.window import TransferOutcome
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.image import jpeg
from mapillary_crawler.items import ImageItem


class ProxyMiddleware(HttpProxyMiddleware):
    """Scrapy's own, which takes the proxies of the environment; loopback never has one."""

    def process_request(self, request: Request) -> None:  # type: ignore[override]
        """Name the proxy of a request in its meta."""
        proxied = self.proxies or request.meta.get("proxy")
        if proxied and is_loopback(urlparse_cached(request).hostname or ""):
            request.meta["proxy"] = None
        super().process_request(request)


class TokenMiddleware:
    """Adds the token to requests of the API's slot, by host, and to no other.

    Graph API: the header form is recommended; with it, `paging.next` carries no token.
    The header is taken away again from what comes back, so nothing that is kept, logged
    or written to a job folder holds it.
    """

    def __init__(self, token: str) -> None:
        self._authorization = f"OAuth {token}"

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Read the token from the environment; it is never a setting."""
        run_of(crawler)  # another spider's requests never carry it
        return cls(read_token(os.environ))

    def process_request(self, request: Request) -> None:
        """Authorize a request to the API; refuse one that would carry the token elsewhere."""
        if request.meta.get("download_slot") != slots.API:
            return
        if not may_have_token(request.url):
            raise IgnoreRequest("this address may not get the token")
        if request.meta.get("proxy") and request.url.startswith("http:"):
            raise IgnoreRequest("a proxy may not see the token")
        request.headers["Authorization"] = self._authorization

    def process_response(self, request: Request, response: Response) -> Response:
        """Take the token away from a request that was answered."""
        request.headers.pop("Authorization", None)
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        """Take the token away from a request that failed."""
        request.headers.pop("Authorization", None)


class OutcomesMiddleware:
    """Tells the throttle how every transfer of an image ended, and how long it took.

    Next to the downloader, so that the time is that of the transfer: from its turn in the
    slot until its last byte, less what it waited for MAX_BYTES_PER_SECOND. Scrapy's own latency
    ends at the headers.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._throttle = run_of(crawler).throttle

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the middleware for the crawler's throttle."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        """Report an answer."""
        if request.meta.get("download_slot") == slots.IMAGES:
            # Of a 503 it is this one image's: others may come.
            asked = retry_after_of(response) if response.status == 429 else None
            outcome = _outcome(response, request.meta["item"])
            self._report(request, outcome, len(response.body), asked)
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        """Report a transfer that failed; one that was cancelled says nothing.

        Nor does one that was refused say anything of the image servers.
        """
        cancelled = isinstance(exception, RunStopped)
        if request.meta.get("download_slot") == slots.IMAGES and not cancelled:
            refused = isinstance(exception, UrlRefused)
            outcome = TransferOutcome.BESIDE if refused else TransferOutcome.FAILED
            self._report(request, outcome, 0, None)

    def _report(
        self, request: Request, outcome: TransferOutcome, size: int, asked_to_wait: float | None
    ) -> None:
        started = request.meta.get(TRANSFER_STARTED)
        if self._throttle is None or started is None:
            return
        self._throttle.finished(
            monotonic() - started - request.meta.get(TRANSFER_BRAKED, 0.0),
            size,
            outcome,
            begun_with=request.meta[TRANSFER_BESIDE],
            first_attempt=request.meta["item"].attempts == 0,
            retry_after=asked_to_wait,
        )


def _outcome(response: Response, item: ImageItem) -> TransferOutcome:
    """Return what an answer says of the CDN; 403 is the URL's fault unless it is a new one."""
    status = response.status
    if status == 200:
        return (
            TransferOutcome.GOOD
            if response.body.startswith(jpeg.START)
            else TransferOutcome.NO_IMAGE
        )
    if status in (429, 503):
        return TransferOutcome.REFUSED
    if status >= 500:
        return TransferOutcome.FAILED
    of_the_image = status in (404, 410) or (status == 403 and not _is_good(item))
    return TransferOutcome.BESIDE if of_the_image else TransferOutcome.NO_IMAGE


def _is_good(item: ImageItem) -> bool:
    """Say whether the service has just given the URL, and one that has not expired."""
    return item.fresh and (graph_rows.url_expiry(item.url) or math.inf) > time.time()
