"""Plain runs for unit tests: no crawler, no thread, no waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.crawl.run import RunSpider


class OnThisThread:
    """Does at once what a `LedgerThread` would do in its own."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    async def ask(self, work: Callable[[Any], Any]) -> Any:
        return work(self._ledger)


@dataclass
class Listed:
    """What a feeder asks of a listing, which is closed at the last of so many `looks`."""

    looks: int = 0
    on_end: Callable[[], object] = lambda: None
    holds_images: bool = False

    @property
    def open(self) -> bool:
        """Whether it is not closed yet."""
        self.looks -= 1
        if self.looks == 0:
            self.on_end()
        return self.looks > 0


def plain_run(ledger: Any = None, *, collection: Collection | None = None, **members: Any) -> Any:
    """Return what stands for a `Run`; `members` are its own, `opened` those of its collection.

    It is never being stopped, unless its `stopping` is set.
    """
    opened = {
        "collection": collection or Collection("someone", "256"),
        "configuration": SimpleNamespace(
            image_attempts=6, api_url="https://api.example.org", processors=usable_processors()
        ),
        "arguments": SimpleNamespace(accept_failed=False, remove=False),
        "encoding": None,
        "run_number": 1,
        "finished": False,
        "updating": False,
        "changes": None,
        "gives_back": False,
        "renews": False,
        "gathers": False,
        "slice_room": None,
        **members.pop("opened", {}),
    }
    named: dict[str, Any] = {
        "collection": SimpleNamespace(**opened),
        "ledger": OnThisThread(ledger),
        "closing": lambda: False,
        "sleep": asyncio.sleep,
        "stopping": threading.Event(),
        "on_stop": lambda call: None,
        "encoding": 0,
        "throttle": None,
        "sealing": None,
        "upload": None,
        "when_finished": [],
        "room": None,
        **members,
    }
    return SimpleNamespace(**named)


def spider_of(run: Any) -> RunSpider:
    """Return what a crawler has as its spider, by which components find the run."""
    spider = RunSpider("user")
    spider.run = run
    return spider
