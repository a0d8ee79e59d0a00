"""Scrapy's aiohttp download handler, which costs an image less than the default one.

Measured against the Twisted handler in docs/performance.md.
The module is private in Scrapy 2.19, hence `scrapy>=2.19,<2.20`.
"""

from __future__ import annotations

import socket
from typing import Any, ClassVar
from urllib.parse import urlsplit

import aiohttp
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadConnectionRefusedError
from scrapy.http import Response

from mapillary_crawler.collection.addresses import is_loopback, is_public
from mapillary_crawler.collection.token import API_HOST
from mapillary_crawler.crawl.failures import UrlRefused
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.braked_handler import BrakedHandler

_REFUSED = "the URL leads to an address that is not public"


class DownloadHandler(BrakedHandler):
    """The handler without its warning at every start that it is experimental.

    The public API's answers name URLs of images, which may lead to public addresses only; a
    sandbox or a trusted host may name what it likes.
    """

    experimental: ClassVar[bool] = False
    #: aiohttp wants a running loop, which a `CrawlerProcess` has only once it is started.
    lazy = True

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        api = urlsplit(str(crawler.settings["MAPILLARY_API_URL"])).hostname
        self._images = _PublicHandler(crawler) if api == API_HOST else None

    async def download_request(self, request: Request) -> Response:
        """Download; raises `UrlRefused` for an image's URL that leads elsewhere."""
        if self._images is None or request.meta.get("download_slot") not in slots.OF_IMAGES:
            return await super().download_request(request)
        _refuse(request.url)
        if request.meta.get("proxy"):  # it alone knows the address, and its own may be private
            return await super().download_request(request)
        return await self._images.download_request(request)

    async def close(self) -> None:
        """Close all connections."""
        await super().close()
        if self._images is not None:
            await self._images.close()


class _NotPublic(OSError):
    """An address that is not connected to."""


class _PublicHandler(BrakedHandler):
    """Connects to public addresses only, whatever name has them: it is the address that counts."""

    experimental: ClassVar[bool] = False

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        connector = self._session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        # An argument of the connector's, which Scrapy does not pass on.
        connector._socket_factory = _public_socket

    async def download_request(self, request: Request) -> Response:
        """Download; raises `UrlRefused` where a name has no public address."""
        try:
            return await super().download_request(request)
        except DownloadConnectionRefusedError as error:
            if isinstance(getattr(error.__cause__, "os_error", None), _NotPublic):
                raise UrlRefused(_REFUSED) from None
            raise


def _public_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address as `getaddrinfo` gives it."""
    family, kind, protocol, _, place = address
    if not is_public(place[0]):
        raise _NotPublic(_REFUSED)
    return socket.socket(family, kind, protocol)


def _refuse(url: str) -> None:
    """Raise `UrlRefused` for what a URL itself says: a user, this machine, a closed address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "@" in parts.netloc:
        raise UrlRefused("the URL names a user")
    try:
        public = is_public(host)
    except ValueError:
        public = not is_loopback(host)
    if not public:
        raise UrlRefused(_REFUSED)
