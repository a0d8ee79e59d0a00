"""A crawler whose run is plain, and what its ledger is told, for the stages that encode."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from scrapy.utils.test import get_crawler

from mapillary_crawler.crawl.transfer.byte_budget import ByteBudget
from tests.runs import plain_run, spider_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.ledger.records import FailedAttempt


@pytest.fixture
def failures() -> list[FailedAttempt]:
    """Collect what the ledger is told."""
    return []


@pytest.fixture
def crawler(failures: list[FailedAttempt]) -> Crawler:
    crawler = get_crawler()
    ledger = SimpleNamespace(queue=SimpleNamespace(fail=failures.extend))
    crawler.spider = spider_of(plain_run(ledger, budget=ByteBudget(1 << 20, 0)))
    return crawler
