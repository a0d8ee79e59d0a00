"""A run: how it waits, what ends it, and that only the first end counts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from scrapy import Spider
from scrapy.exceptions import NotConfigured

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import DiskFull, EndOfRun, Outcome, RunStopped
from mapillary_crawler.crawl.run import Run, run_of
from mapillary_crawler.crawl.transfer.downloader import LimitedDownloader
from tests.runs import spider_of


class Engine:
    """What a run needs of Scrapy's engine."""

    def __init__(self) -> None:
        self.running = True
        self._slot = SimpleNamespace(closing=None)
        self.downloader = Mock(spec=LimitedDownloader)
        self.closed: list[str] = []

    async def close_spider_async(self, *, reason: str) -> None:
        self.closed.append(reason)


def run_on(engine: Engine, **options: Any) -> Run:
    crawler: Any = SimpleNamespace(engine=engine)
    configuration = SimpleNamespace(
        api_patience=1,
        api_url="https://api.example.org",
        in_flight_bytes=1,
        image_attempts=6,
        searches_per_minute=8000,
        entities_per_minute=48_000,
    )
    opened: Any = SimpleNamespace(
        collection=Collection("someone", "256"), configuration=configuration, ledger=None,
        plan=False, close=Mock(), arguments=SimpleNamespace(remove=False),
    )  # fmt: skip
    run = Run(crawler, opened, **options)
    crawler.spider = spider_of(run)
    assert run_of(crawler) is run
    return run


def with_run(test: Callable[[Run, Engine], Awaitable[None]]) -> None:
    async def check() -> None:
        engine = Engine()
        await test(run_on(engine), engine)
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(check(), 30))


def test_a_stop_wakes_those_who_wait() -> None:
    async def check(run: Run, engine: Engine) -> None:
        told = Mock()
        run.on_stop(told)
        waiting = asyncio.ensure_future(run.sleep(1000))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        run.stop()
        with pytest.raises(RunStopped, match="the run is being stopped"):
            await waiting
        assert engine.downloader.cancel_all.call_count == told.call_count == 1

    with_run(check)


@pytest.mark.parametrize("ending", ["not running", "closing", "closed"])
def test_scrapy_may_end_it_too(ending: str) -> None:
    async def check(run: Run, engine: Engine) -> None:
        assert not run.closing()
        if ending == "not running":
            engine.running = False
        else:
            closing = SimpleNamespace(closing=object())
            engine._slot = None if ending == "closed" else closing  # type: ignore[assignment]
        assert run.closing()
        with pytest.raises(RunStopped):
            await run.sleep(0)

    with_run(check)


def test_the_first_end_is_the_outcome() -> None:
    async def check(run: Run, engine: Engine) -> None:
        run.end(EndOfRun(Outcome.TOKEN_REFUSED, "no token"))
        run.end(EndOfRun(Outcome.DISK_FULL, "no room"))
        await asyncio.sleep(0)
        assert run.outcome is Outcome.TOKEN_REFUSED
        assert engine.closed == ["token_refused"]
        assert run.stopping.is_set()

    with_run(check)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EndOfRun(Outcome.NO_IMAGES, "none"), Outcome.NO_IMAGES),
        (DiskFull("1 GB"), Outcome.DISK_FULL),
        (OSError("broken"), Outcome.ERROR),
        (sqlite3.OperationalError("locked"), Outcome.ERROR),
        (RunStopped(), None),
    ],
)
def test_errors_end_it_and_a_stop_does_not(error: Exception, outcome: Outcome | None) -> None:
    async def check(run: Run, engine: Engine) -> None:
        with run.ends_by_errors():
            raise error
        assert run.outcome is outcome

    with_run(check)


def test_a_mistake_of_ours_passes() -> None:
    async def check(run: Run, engine: Engine) -> None:
        with pytest.raises(KeyError), run.ends_by_errors():
            raise KeyError
        assert run.outcome is None

    with_run(check)


@pytest.mark.parametrize("owned", [True, False])
def test_only_its_own_collection_is_closed_with_it(*, owned: bool) -> None:
    async def check() -> None:
        run = run_on(Engine(), owned=owned)
        await run.close()
        close: Any = run.collection.close
        assert close.call_count == owned

    asyncio.run(check())


@pytest.mark.parametrize("spider", [None, Spider("other")])
def test_another_spider_has_no_run_and_its_components_are_not_configured(
    spider: Spider | None,
) -> None:
    crawler: Any = SimpleNamespace(spider=spider)
    with pytest.raises(NotConfigured):
        run_of(crawler)


@pytest.mark.parametrize("engine", [None, Engine()])
def test_a_crawler_that_came_to_no_engine_lets_the_collection_go(engine: Engine | None) -> None:
    async def check() -> None:
        run = run_on(Engine(), owned=True)
        run.crawler._engine = engine  # type: ignore[assignment]
        run.close_unless_started()
        run.collection.close.assert_not_called()  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        assert run.collection.close.called == (engine is None)  # type: ignore[attr-defined]

    asyncio.run(check())
