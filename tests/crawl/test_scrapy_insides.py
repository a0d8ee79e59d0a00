"""What leans on names that Scrapy does not promise: tells, on the day of 2.20, which are gone.

Beside each is the module that uses it. docs/architecture.md says why.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from scrapy import Spider, cmdline
from scrapy.core.downloader import Downloader, Slot
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler
from scrapy.core.engine import ExecutionEngine, _Slot
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.extensions.throttle import AutoThrottle
from scrapy.pipelines.images import ImagesPipeline
from scrapy.utils.test import get_crawler

from mapillary_crawler.crawl import scrapy_insides
from mapillary_crawler.terminal.log_formatter import _BROKEN_TRANSFER


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("name", "arguments", "is_coroutine"),
    [
        ("_enqueue_request", ["self", "request"], True),  # overridden
        ("_process_queue", ["self", "slot"], False),  # overridden
        ("_get_slot", ["self", "request", "spider"], False),  # overridden
        ("_download", ["self", "slot", "request"], True),
        ("_latercall", ["self", "slot"], False),
        ("close", ["self"], False),
    ],
)
def test_downloader(name: str, arguments: list[str], *, is_coroutine: bool) -> None:
    """crawl/transfer/downloader.py."""
    method = getattr(Downloader, name)
    assert parameters(method) == arguments
    assert inspect.iscoroutinefunction(method) is is_coroutine


def test_downloader_calls_what_is_overridden() -> None:
    """crawl/transfer/downloader.py: an override that nobody calls would change nothing."""
    fetch = inspect.getsource(inspect.unwrap(Downloader.fetch))
    assert "self._enqueue_request" in fetch
    assert "self._process_queue(slot)" in inspect.getsource(Downloader._download)
    assert "self._process_queue(slot)" in inspect.getsource(Downloader._latercall)


def test_slot() -> None:
    """crawl/transfer/downloader.py."""
    slot = Slot(concurrency=2, delay=0, jitter=0)
    assert (slot.concurrency, slot.latercall, slot.lastseen) == (2, None, 0)
    assert (len(slot.queue), slot.active, slot.transferring) == (0, set(), set())
    assert (slot.free_transfer_slots(), slot.download_delay()) == (2, 0)
    slot.close()


def test_slots_are_kept_by_name_with_their_settings() -> None:
    """crawl/transfer/downloader.py."""
    crawler = get_crawler(
        settings_dict={
            "TWISTED_REACTOR_ENABLED": False,
            "DOWNLOAD_HANDLERS": dict.fromkeys(("http", "https", "ftp", "s3")),
            "DOWNLOAD_SLOTS": {"images": {"concurrency": 3}},
        }
    )
    downloader = Downloader(crawler)
    assert downloader.per_slot_settings == {"images": {"concurrency": 3}}
    assert downloader.slots == {}
    assert downloader.DOWNLOAD_SLOT == "download_slot"


def test_download_handler() -> None:
    """crawl/transfer/download_handler.py."""
    assert AiohttpDownloadHandler.experimental is True
    assert parameters(AiohttpDownloadHandler.download_request) == ["self", "request"]
    assert inspect.iscoroutinefunction(AiohttpDownloadHandler.download_request)
    assert inspect.iscoroutinefunction(AiohttpDownloadHandler.close)

    async def connector() -> object:
        crawler = get_crawler(settings_dict={"TWISTED_REACTOR_ENABLED": False})
        handler = AiohttpDownloadHandler(crawler)
        try:
            return handler._session.connector
        finally:
            await handler.close()

    found = asyncio.run(connector())
    assert isinstance(found, aiohttp.TCPConnector)
    assert hasattr(found, "_socket_factory"), "aiohttp's, not Scrapy's"


def test_engine() -> None:
    """crawl/scrapy_insides.py, crawl/run.py, extensions/ending.py."""
    made = inspect.getsource(ExecutionEngine.__init__)
    for name in ("self._slot:", "self.running:", "self.start_time:", "self.downloader:"):
        assert name in made
    assert "self.start_time = " in inspect.getsource(ExecutionEngine.start_async)
    assert "self.closing:" in inspect.getsource(_Slot.__init__)
    assert "self._slot = None" in inspect.getsource(ExecutionEngine.close_spider_async)
    assert parameters(ExecutionEngine.close_spider_async) == ["self", "reason"]
    assert parameters(ExecutionEngine.download_async) == ["self", "request"]


def test_crawler_before_its_engine_is_made() -> None:
    """crawl/scrapy_insides.py."""
    crawler = Crawler(Spider)
    assert crawler._engine is None
    assert not scrapy_insides.is_running(crawler)


def test_stop_waits_for_requests_alone() -> None:
    """crawl/scrapy_insides.py: if 2.20 waits for all, `stop` can go."""
    closing = inspect.getsource(ExecutionEngine.close_spider_async)
    assert "if self._slot.closing is not None:" in closing


def test_base_classes() -> None:
    """pipelines/thumbnails.py, crawl/throttle.py, middlewares.py."""
    assert parameters(ImagesPipeline.__init__) == ["self", "store_uri", "download_func", "crawler"]
    assert parameters(ImagesPipeline.get_media_requests) == ["self", "item", "info"]
    assert "self.spiderinfo" in inspect.getsource(ImagesPipeline.open_spider)
    assert isinstance(ImagesPipeline.STORE_SCHEMES, dict)
    assert parameters(AutoThrottle.__init__) == ["self", "crawler"]
    assert parameters(HttpProxyMiddleware.process_request)[:2] == ["self", "request"]


def test_command_line() -> None:
    """terminal/command_line.py: a replacement that nobody calls would change nothing."""
    assert parameters(cmdline._print_commands) == ["settings", "inproject"]
    assert parameters(cmdline._print_unknown_command) == ["settings", "cmdname", "inproject"]
    assert parameters(cmdline._get_commands_dict) == ["settings", "inproject"]
    execute = inspect.getsource(cmdline.execute)
    assert "_print_commands(settings, inproject)" in execute
    assert "_print_unknown_command(settings, cmdname, inproject)" in execute
    assert "parser = ScrapyArgumentParser(" in execute
    assert 'usage=f"scrapy {cmdname} ' in execute


def test_logger_of_broken_transfers() -> None:
    """terminal/log_formatter.py."""
    from scrapy.core.downloader.handlers import _base_streaming  # noqa: PLC0415

    assert isinstance(_base_streaming.logger, logging.Logger)
    assert _base_streaming.logger.name == _BROKEN_TRANSFER
