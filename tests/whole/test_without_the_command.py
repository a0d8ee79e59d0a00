"""The spider run from a script, as a long-lived process does: what it opens it closes again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mapillary_crawler import settings as project
from tests.crawling import PROJECT, Crawling

#: Crawls a user with each of the settings given, one after another, and says how each ended.
RUNNER = """
import asyncio, json, sys, threading
from pathlib import Path
from scrapy.crawler import AsyncCrawlerRunner
from scrapy.utils.project import get_project_settings
from scrapy.utils.reactor import install_reactor
install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from mapillary_crawler.spiders.user import UserSpider

async def crawl_all():
    for given in json.loads(sys.argv[1]):
        settings = get_project_settings()
        settings.update({"LOG_LEVEL": "ERROR", **given}, priority="cmdline")
        runner = AsyncCrawlerRunner(settings)
        crawler = runner.create_crawler(UserSpider)
        try:
            await runner.crawl(crawler, username="alice", quality="256", check_ia="0")
            end = crawler.stats.get_value("finish_reason")
        except Exception as error:
            end = type(error).__name__ + ": " + str(error)
        threads = [each.name for each in threading.enumerate() if each.name.startswith("ledger")]
        wals = [path.name for path in Path(settings["MAPILLARY_STORE"]).rglob("*-wal")]
        print(json.dumps([end, threads, wals]), flush=True)

react(lambda _: Deferred.fromFuture(asyncio.ensure_future(crawl_all())))
"""

#: Crawls in the other of Scrapy's ways, by a process of its own.
PROCESS = """
import json, threading
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.utils.project import get_project_settings
settings = get_project_settings()
settings.set("LOG_LEVEL", "ERROR", priority="cmdline")
process = AsyncCrawlerProcess(settings)
crawler = process.create_crawler("user")
process.crawl(crawler, username="alice", quality="256", check_ia="0")
process.start()
threads = [each.name for each in threading.enumerate() if each.name.startswith("ledger")]
print(json.dumps([crawler.stats.get_value("finish_reason"), threads, []]), flush=True)
"""

NO_ROOM = {"MIN_FREE_BYTES": 10**18}
BAD_PIPELINE = {
    "ITEM_PIPELINES": {
        **project.ITEM_PIPELINES,
        f"{__name__.rpartition('.')[0]}.add_ons.DoesNotOpen": 50,
    }
}
NO_PIPELINE = {"ITEM_PIPELINES": {**project.ITEM_PIPELINES, "no.such.Pipeline": 950}}


def ends(crawling: Crawling, script: str, *arguments: str) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=PROJECT,
        env=crawling.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_same_user_several_times_in_one_process(crawling: Crawling) -> None:
    first, second, third = ends(crawling, RUNNER, json.dumps([NO_ROOM, {}, {}]))
    assert first == ["disk_full", [], []]
    assert second == ["finished", [], []]
    assert str(third[0]).startswith("Refused: mapillary-alice-256 is archived since")
    assert third[1:] == [[], []]


def test_a_component_that_does_not_open_leaves_no_lock(crawling: Crawling) -> None:
    absent, first, second = ends(crawling, RUNNER, json.dumps([NO_PIPELINE, BAD_PIPELINE, {}]))
    assert str(absent[0]).startswith("ModuleNotFoundError: No module named 'no'")
    assert str(first[0]).startswith("RuntimeError: does not open")
    assert first[1:] == absent[1:] == [[], []]
    assert second[0] == "finished"


@pytest.mark.parametrize("token", ["", "two words"])
def test_a_token_that_cannot_be_used_is_refused_before_anything_is_opened(
    crawling: Crawling, token: str
) -> None:
    crawling.environment["MAPILLARY_TOKEN"] = token
    (only,) = ends(crawling, RUNNER, json.dumps([{}]))
    assert str(only[0]).startswith("ArgumentRefused: MAPILLARY_TOKEN")
    assert not crawling.store.exists()


def test_a_process_of_scrapy_s_own(crawling: Crawling) -> None:
    assert ends(crawling, PROCESS) == [["finished", [], []]]
