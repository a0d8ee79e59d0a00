"""The spider run from scripts, in each of Scrapy's ways, several at once and one after another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crawling import PROJECT, Crawling, Result

#: Crawls at once: two users, one of them twice, and what cannot be crawled.
AT_ONCE = """
import json, sys
from scrapy import crawler
from scrapy.utils.project import get_project_settings

settings = get_project_settings()
if "reactorless" in sys.argv:
    settings["TWISTED_REACTOR_ENABLED"] = False
process = getattr(crawler, sys.argv[1])(settings)
asked = [("alice", "256"), ("Ünî cødé_user", "256"), ("alice", "256"), ("alice", "512")]
crawlers = []
for username, quality in asked:
    crawlers.append(process.create_crawler("user"))
    process.crawl(crawlers[-1], username=username, quality=quality, check_ia="0")
process.start()
for each in crawlers:
    run = each.spider and each.spider.run
    reason = each.spider and each.stats.get_value("finish_reason")
    print(json.dumps(run and [run.outcome.reason, run.balance.saved, reason]))
"""
#: Crawls one after another by a runner: the first does not fit on the disk, the third is archived.
RUNNERS = """
import asyncio, json, sys
from scrapy import crawler
from scrapy.utils.defer import maybe_deferred_to_future
from scrapy.utils.project import get_project_settings
from scrapy.utils.reactor import install_reactor
install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
from twisted.internet.defer import Deferred
from twisted.internet.task import react

async def crawl_all():
    for least in (10**18, 1, 1):
        settings = get_project_settings()
        settings["MIN_FREE_BYTES"] = least
        runner = getattr(crawler, sys.argv[1])(settings)
        each = runner.create_crawler("user")
        crawl = runner.crawl(each, username="alice", quality="256", check_ia="0")
        try:
            await (maybe_deferred_to_future(crawl) if isinstance(crawl, Deferred) else crawl)
            end = each.spider.run.outcome
        except Exception as error:
            end = error.outcome
        print(json.dumps([end.reason, end.exit_code]), flush=True)

react(lambda _: Deferred.fromFuture(asyncio.ensure_future(crawl_all())))
"""
#: A reactor that is not asyncio's, in the two ways to come to one.
OTHER_REACTOR = """
import sys
from scrapy.crawler import CrawlerProcess, CrawlerRunner
from scrapy.utils.log import configure_logging
from scrapy.utils.project import get_project_settings
if sys.argv[1] == "CrawlerProcess":
    settings = get_project_settings()
    settings["TWISTED_REACTOR"] = "twisted.internet.selectreactor.SelectReactor"
    process = CrawlerProcess(settings)
    process.crawl("user", username="alice", quality="256")
    process.start()
else:
    configure_logging()
    from twisted.internet import selectreactor
    selectreactor.install()
    from twisted.internet import reactor
    done = CrawlerRunner(get_project_settings()).crawl("user", username="alice", quality="256")
    done.addErrback(lambda failure: print(failure.value))
"""


def run(crawling: Crawling, script: str, *arguments: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=PROJECT, env=crawling.environment,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [["AsyncCrawlerProcess"], ["AsyncCrawlerProcess", "reactorless"], ["CrawlerProcess"]],
    ids=" ".join,
)
def test_several_at_once_in_a_process(arguments: list[str], crawling: Crawling) -> None:
    done = run(crawling, AT_ONCE, *arguments)
    ends = [json.loads(line) for line in done.lines[:4]]
    assert [end and end[0::2] for end in ends] == [["finished"] * 2, ["finished"] * 2, None, None]
    assert ends[0][1] == 143
    assert done.output.count("another process works on mapillary-alice-256") == 1
    assert done.output.count("quality '512' is unknown") == 1
    for folder in crawling.store.glob("mapillary-*"):
        (log,) = folder.glob("download.log*")
        text = log.read_text()
        assert f"run 1 of {folder.name}" in text
        assert text.count("The listing is complete") == 1  # and no line of the other's


@pytest.mark.parametrize("runner", ["AsyncCrawlerRunner", "CrawlerRunner"])
def test_one_after_another_by_a_runner(runner: str, crawling: Crawling) -> None:
    done = run(crawling, RUNNERS, runner)
    assert [json.loads(line) for line in done.lines if line.startswith("[")] == [
        ["disk_full", 6], ["finished", 0], ["already_archived", 0],
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["CrawlerProcess", "CrawlerRunner"])
def test_another_reactor_is_a_line_and_nobody_else_s_fault(way: str, crawling: Crawling) -> None:
    done = run(crawling, OTHER_REACTOR, way)
    about = [line for line in done.lines if "the reactor is not asyncio's" in line]
    assert len(about) == 1
    assert "no answer" not in done.output
    assert not crawling.store.exists()


def test_a_command_of_one_s_own_and_a_misspelt_setting_in_a_script(
    crawling: Crawling, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    crawling.environment["ON_END"] = f"sh -c 'echo $MAPILLARY_OUTCOME >> {seen}'"
    crawling.environment["MIN_FREE_BITES"] = "1"
    done = run(crawling, RUNNERS, "AsyncCrawlerRunner")
    assert seen.read_text() == "disk_full\nfinished\n"
    line = "MIN_FREE_BITES is no setting, and has no effect; MIN_FREE_BYTES is one"
    assert done.output.count(line) == 3  # once a crawl
