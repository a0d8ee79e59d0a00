"""Scrapy's aiohttp download handler, which costs an image less than the default one.

Measured against the Twisted handler in docs/performance.md.
The module is private in Scrapy 2.19, hence `scrapy>=2.19,<2.20`.
"""

from __future__ import annotations

from typing import ClassVar

from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler


class DownloadHandler(AiohttpDownloadHandler):
    """The handler without its warning at every start that it is experimental."""

    experimental: ClassVar[bool] = False
