"""The token: added to requests that may carry it, and taken away again."""

from __future__ import annotations

import os
from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

from mapillary_crawler.limits import may_have_token, read_token


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
        return cls(read_token(os.environ))

    def process_request(self, request: Request) -> None:
        """Authorize a request to the API; refuse one that would carry the token elsewhere."""
        if request.meta.get("download_slot") != "api":
            return
        if not may_have_token(request.url):
            raise IgnoreRequest("this address may not get the token")
        request.headers["Authorization"] = self._authorization

    def process_response(self, request: Request, response: Response) -> Response:
        """Take the token away from a request that was answered."""
        request.headers.pop("Authorization", None)
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        """Take the token away from a request that failed."""
        request.headers.pop("Authorization", None)
