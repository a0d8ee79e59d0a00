"""What no public name of Scrapy 2.19 says of an engine, hence `scrapy>=2.19,<2.20`.

Beside these, `transfer/downloader.py`, `transfer/download_handler.py`, `terminal/command_line.py`
and `terminal/log_formatter.py` lean on private names; tests/crawl/test_scrapy_insides.py has all.
"""

from __future__ import annotations

import asyncio

from scrapy.crawler import Crawler

#: Turns of the event loop within which a close that was asked for has begun.
_TURNS = 5


def has_engine(crawler: Crawler) -> bool:
    """Say whether the crawler came as far as its engine."""
    return crawler._engine is not None


def is_running(crawler: Crawler) -> bool:
    """Say whether the engine runs; Scrapy 2.19 forgets that it was stopped before."""
    return crawler._engine is not None and crawler._engine.running


def is_closing(crawler: Crawler) -> bool:
    """Say whether the engine closes the spider already, the finish included."""
    slot = crawler.engine._slot
    return slot is None or slot.closing is not None


async def stop(crawler: Crawler) -> None:
    """Close the spider, unless it is being closed; to begin that takes Scrapy a few turns.

    Scrapy 2.19 would then end the process at once: `ExecutionEngine.stop_async` waits for the
    requests that are on their way, not for the pipelines and `spider_closed`.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    if not is_closing(crawler):
        await crawler.stop_async()
