"""Reads the bodies of images no faster than MAX_BYTES_PER_SECOND allows.

A body that is not read fills the buffers of its connection and then stops at the server, so
nothing is held for it here. The wait is none of the transfer's own: neither its timeout nor the
latency that the throttle hears of has it.
The module of Scrapy is private in 2.19, hence `scrapy>=2.19,<2.20`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Self

from scrapy import Request
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadTimeoutError

from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.downloader import BRAKE, TRANSFER_BRAKED

if TYPE_CHECKING:
    from scrapy.core.downloader.handlers._aiohttp import _ClientResponse

    from mapillary_crawler.crawl.transfer.brake import Brake

#: aiohttp: no timeout.
_NONE = 0


class BrakedHandler(AiohttpDownloadHandler):
    """The handler, with a brake where the downloader gives the request one."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._braked: dict[_ClientResponse, tuple[Request, asyncio.Timeout]] = {}

    def _make_request(  # type: ignore[override]
        self, request: Request, timeout: float
    ) -> AbstractAsyncContextManager[_ClientResponse]:
        if request.meta.get(BRAKE) is None:
            return super()._make_request(request, timeout)
        return self._make_braked_request(request, timeout)

    @asynccontextmanager
    async def _make_braked_request(
        self,
        request: Request,
        timeout: float,  # noqa: ASYNC109  Scrapy's
    ) -> AsyncIterator[_ClientResponse]:
        try:
            async with (
                asyncio.timeout(timeout) as left,
                super()._make_request(request, _NONE) as response,
            ):
                self._braked[response] = (request, left)
                try:
                    yield response
                finally:
                    del self._braked[response]
        except TimeoutError:
            raise DownloadTimeoutError(
                f"Getting {request.url} took longer than {timeout} seconds."
            ) from None

    def _iter_body_chunks(  # type: ignore[override]
        self, response: _ClientResponse
    ) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = super()._iter_body_chunks(response)
        braked = self._braked.get(response)
        return BrakedChunks(chunks, *braked) if braked else chunks


class BrakedChunks:
    """The chunks of a body, each once it is paid for."""

    def __init__(
        self, chunks: AsyncIterator[bytes], request: Request, left: asyncio.Timeout
    ) -> None:
        self._chunks = chunks
        self._meta = request.meta
        self._brake: Brake = request.meta[BRAKE]
        self._left = left

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        if seconds := self._brake.took(monotonic(), len(chunk)):
            self._meta[TRANSFER_BRAKED] = self._meta.get(TRANSFER_BRAKED, 0.0) + seconds
            until = self._left.when()
            self._left.reschedule(None if until is None else until + seconds)
            one = self._meta.get("download_slot") == slots.IMAGES
            self._brake.waiting += one
            try:
                await asyncio.sleep(seconds)
            finally:
                self._brake.waiting -= one
        return chunk
