"""What is listed for slices, and that its listing goes first then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request

from mapillary_crawler.crawl.lister import Lister
from mapillary_crawler.crawl.slices import lists_for_slices
from mapillary_crawler.graph.patience import Patience
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.spiders.user import UserSpider
from tests.ledgers import open_ledger, row
from tests.runs import plain_run


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.listing.commit(None, "behind", [row(number) for number in range(1, 4)])
        yield ledger


def run(ledger: Ledger, *, plan: bool = False, **arguments: bool) -> Any:
    """Return a run with `cut=1`, and other arguments, that stands in the middle of a listing."""

    async def at_once(url: str) -> None:
        pass

    asked = {"cut": True, "update": False, "check_ia": True, "remove": False, **arguments}
    client = SimpleNamespace(
        fields=("id",),
        patience=Patience(7200),
        keep_pace=at_once,
        request=lambda url, **_: Request(url),
    )
    opened = {"arguments": SimpleNamespace(**asked), "plan": plan, "new": False}
    return plain_run(ledger, opened=opened, client=client, ends_by_errors=nullcontext)


def test_a_plain_crawl_that_may_be_cut_lists_for_slices(ledger: Ledger) -> None:
    opened = run(ledger).collection
    assert lists_for_slices(opened, ledger)
    ledger.listing.close()
    ledger.slices.cut(1, "1")
    assert not lists_for_slices(opened, ledger)


@pytest.mark.parametrize("other", [{"cut": False}, {"update": True}, {"plan": True}], ids=str)
def test_other_runs_do_not(ledger: Ledger, other: dict[str, bool]) -> None:
    assert not lists_for_slices(run(ledger, **other).collection, ledger)


@pytest.mark.parametrize("fact", ["adopted", "days_differ", "not_cut"])
def test_what_is_never_cut_does_not(ledger: Ledger, fact: str) -> None:
    ledger.facts.set(**{fact: {"a": 1}})
    assert not lists_for_slices(run(ledger).collection, ledger)


@pytest.mark.parametrize("cut", [True, False])
def test_the_listing_of_a_crawl_goes_first_where_it_is_for_slices(
    ledger: Ledger, cut: bool
) -> None:
    plain = run(ledger, cut=cut)
    plain.collection.webp = plain.collection.jxl = False
    spider = UserSpider(plain.collection)
    spider.run = plain
    listing = spider._lister = Lister(plain)

    async def begin() -> list[Request]:
        return [each async for each in spider.start()]

    page, feeding = asyncio.run(begin())
    assert "after=behind" in page.url
    assert feeding.callback == spider.feed
    assert listing.holds_images is cut
