"""Scrapy's own commands inside the checkout, and another spider, as in any Scrapy project."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mapillary_crawler.collection.names import member_path
from tests.crawling import PROJECT, SCRAPY, Crawling, images, wait_until

pytestmark = pytest.mark.long

PAGE = b"<html><title>a page</title><body><a href='/next'>next</a></body></html>"
SPIDER = """
import scrapy

class Titles(scrapy.Spider):
    name = "titles"
    custom_settings = {"ITEM_PIPELINES": {"titles.Louder": 100}}

    async def start(self):
        yield scrapy.Request(self.url)

    def parse(self, response):
        yield {"title": response.css("title::text").get(), "depth": response.meta.get("depth")}
        yield response.follow("/missing", self.never)

    def never(self, response):
        yield {"title": "a 404 that Scrapy would not have passed on"}

class Louder:
    def process_item(self, item):
        return {**item, "title": item["title"].upper()}
"""


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        moved = self.path == "/moved"
        self.send_response(302 if moved else 404 if self.path == "/missing" else 200)
        if moved:
            self.send_header("Location", "/")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Serve a page, a redirect to it, and what is missing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def plain(tmp_path: Path) -> Crawling:
    """Give the commands neither a token nor a store, as somebody has who has just cloned."""
    crawling = Crawling(tmp_path / "store")
    crawling.environment |= {"PYTHONPATH": str(tmp_path), "BROWSER": "true"}
    for name in ("MAPILLARY_TOKEN", "MAPILLARY_STORE"):
        crawling.environment.pop(name, None)
    (tmp_path / "titles.py").write_text(SPIDER)
    return crawling


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (["version"], "Scrapy 2.19"),
        (["settings", "--get", "BOT_NAME"], "mapillary_crawler\n"),
        (["list"], "user\n"),
        (["check"], "Ran 0 contracts"),
        (["genspider", "--list"], "basic"),
        (["fetch", "--nolog", "{site}/moved"], "<title>a page</title>"),
        (["fetch", "--nolog", "--headers", "{site}/"], "Content-Type: text/html"),
        (["view", "--nolog", "{site}/"], ""),
        (["shell", "--nolog", "-c", "6 * 7"], "42\n"),
        (["shell", "--nolog", "-c", "response.css('title::text').get()", "{site}/"], "a page\n"),
        (["shell", "--nolog", "-c", "response.url", "./LICENSE"], "/LICENSE\n"),
        (["parse", "--nolog", "--spider=titles", "-aurl=x", "-sSPIDER_MODULES=titles", "{site}/"],
         "'title': 'a page'"),
        (["bench", "-sCLOSESPIDER_TIMEOUT=1"], "Spider closed (closespider_timeout)"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_scrapy_s_own_commands(command: list[str], output: str, plain: Crawling, site: str) -> None:
    done = plain.scrapy(*(part.replace("{site}", site) for part in command))
    assert done.code == 0, done.output
    assert output in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("by", ["runspider", "crawl"])
def test_another_spider_has_its_own_items_and_pipelines(
    by: str, plain: Crawling, site: str, tmp_path: Path
) -> None:
    spider = [str(tmp_path / "titles.py")] if by == "runspider" else ["titles"]
    modules = [] if by == "runspider" else ["-sSPIDER_MODULES=titles"]
    done = plain.scrapy(by, *spider, *modules, f"-aurl={site}/moved", f"-o{tmp_path / 'o.jsonl'}")
    assert done.code == 0, done.output
    assert "Spider closed (finished)" in done.output
    assert "Traceback" not in done.output
    items = (tmp_path / "o.jsonl").read_text().splitlines()
    assert [json.loads(item) for item in items] == [{"title": "A PAGE", "depth": 0}]


def test_a_spider_that_is_not_there_is_a_line(plain: Crawling) -> None:
    done = plain.scrapy("crawl", "nobody")
    assert (done.code, done.lines) == (
        2, ["scrapy crawl: there is no spider 'nobody'; there are: user"],
    )  # fmt: skip
    done = plain.scrapy("crawl", "titles", "-sSPIDER_MODULES=absent")
    assert (done.code, len(done.lines)) == (2, 1)


def test_a_spider_that_is_generated_and_edited_can_be_crawled(
    plain: Crawling, tmp_path: Path, site: str
) -> None:
    copy = tmp_path / "copy"
    for name in ("mapillary_crawler", "scrapy.cfg"):
        from_, to = PROJECT / name, copy / name
        if from_.is_dir():
            shutil.copytree(from_, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(from_, to)

    def scrapy(*command: str) -> str:
        return subprocess.run(
            [*SCRAPY, *command], cwd=copy, env={**plain.environment, "EDITOR": "cat"}, text=True,
            check=True, timeout=120, capture_output=True,
        ).stdout  # fmt: skip

    assert "mapillary_crawler.spiders.own" in scrapy("genspider", "own", site)
    assert scrapy("list") == "own\nuser\n"
    assert "class OwnSpider" in scrapy("edit", "own")
    scrapy("crawl", "own")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["shell", "-c", "1", "--spider=user", "{site}/"], 2),
        (["fetch", "--spider=user", "{site}/"], 1),
        (["runspider", "mapillary_crawler/spiders/user.py"], 1),
    ],
    ids=["shell", "fetch", "runspider"],
)
def test_the_spider_of_the_project_says_what_it_needs_in_a_line(
    command: list[str], code: int, plain: Crawling, site: str
) -> None:
    done = plain.scrapy(*(part.replace("{site}", site) for part in command))
    assert done.code == code
    assert "Traceback" not in done.output
    assert "MAPILLARY_TOKEN is not set" in done.lines[-1]


def test_the_spider_of_the_project_runs_by_its_file(crawling: Crawling) -> None:
    done = crawling.scrapy(
        "runspider", "mapillary_crawler/spiders/user.py", "-ausername=alice", "-aquality=256"
    )
    assert done.code == 0, done.output
    assert len(images(crawling.store / "mapillary-alice-256")) > 100


REFUSED = [
    ("ITEM_PIPELINES={}", "ITEM_PIPELINES lacks"),
    ('ITEM_PIPELINES={"tests.whole.add_ons.DoesNotOpen": 950}', "ITEM_PIPELINES lacks"),
    ("EXTENSIONS={}", "EXTENSIONS lacks"),
    ("DOWNLOADER=scrapy.core.downloader.Downloader", "DOWNLOADER scrapy.core"),
    (
        "TWISTED_REACTOR=twisted.internet.selectreactor.SelectReactor",
        "the reactor is not asyncio's",
    ),
    ("ON_END=say 'it", "ON_END is no command"),
]


@pytest.mark.parametrize(("setting", "line"), REFUSED, ids=lambda value: value[:12])
def test_what_a_crawl_cannot_do_without_is_refused_at_the_start(
    setting: str, line: str, crawling: Crawling
) -> None:
    done = crawling.run("-s", setting, username="alice", quality="256")
    assert (done.code, len(done.lines)) == (2, 1), done.output
    assert done.lines[0].startswith(f"scrapy crawl: {line}")
    assert not crawling.store.exists()


def test_a_setting_that_is_nearly_ours_is_named_once(crawling: Crawling) -> None:
    crawling.environment["WEBP_QUALTY"] = "80"
    given = ("-s", "TAR_MAX_BYTE=1000000")
    done = crawling.run(*given, username="alice", quality="256", end="2000-01-01")
    line = "TAR_MAX_BYTE is no setting, and has no effect; TAR_MAX_BYTES is one"
    assert done.output.count(line) == 1
    assert done.output.count("WEBP_QUALTY is no setting") == 1
    status = crawling.scrapy("status", *given)
    assert status.output.count("is no setting") == 2


def test_feeds_say_where_each_file_is_and_nothing_secret(
    crawling: Crawling, tmp_path: Path
) -> None:
    feed = tmp_path / "items.jsonl"
    everything = "FEED_EXPORT_FIELDS=image_id,url,day,sequence,extension,path,checksum,size"
    done = crawling.run(f"-O{feed}", "-s", everything, username="alice", quality="256", tar="0")
    assert done.code == 0, done.output
    items = [json.loads(line) for line in feed.read_text().splitlines()]
    stored = images(crawling.store / "mapillary-alice-256")
    assert len(items) == len(stored)
    for item in items:
        body = stored[item["path"]]
        assert item["path"] == member_path(
            item["day"], item["sequence"], item["image_id"], item["extension"]
        )
        assert (item["checksum"], item["size"]) == (hashlib.sha256(body).hexdigest(), len(body))
        assert item["url"] == ""


def test_a_command_of_one_s_own_hears_of_the_end(crawling: Crawling, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    command = f"""ON_END=sh -c 'env > "$0"; ls "$MAPILLARY_FOLDER"; exit 5' {seen}"""
    done = crawling.run("-s", command, username="alice", quality="256")
    assert done.code == 0
    assert done.lines[-1].startswith("mapillary-alice-256: complete: listed 150 = ")
    assert "ON_END: SHA256SUMS" in done.output
    assert "WARNING: ON_END ended with exit code 5" in done.output
    told = dict(line.split("=", 1) for line in seen.read_text().splitlines())
    assert told["MAPILLARY_FOLDER"] == str(crawling.store / "mapillary-alice-256")
    assert (told["MAPILLARY_OUTCOME"], told["MAPILLARY_EXIT_CODE"]) == ("finished", "0")
    assert told["MAPILLARY_SAVED"] == str(done.balance["saved"])
    assert crawling.environment["MAPILLARY_TOKEN"] not in seen.read_text()
    assert {name for name in told if name.startswith("LD_")} == set()
    assert os.environ["PATH"] == told["PATH"]


def test_it_comes_when_the_collection_is_let_go(crawling: Crawling) -> None:
    command = f"ON_END=sh -c '{sys.executable} -m scrapy verify --fast $MAPILLARY_FOLDER'"
    done = crawling.run("-s", command, username="alice", quality="256")
    assert done.code == 0
    assert "ON_END: mapillary-alice-256: all is well" in done.output


def test_it_comes_after_a_stop_too_and_has_its_time(crawling: Crawling, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    crawling.environment["STOP_AT"] = "spider_opened"
    # Longer than a stopped run may take.
    command = f"ON_END=sh -c 'sleep 6; echo $MAPILLARY_OUTCOME >> {seen}'"
    options = ("-s", command, "-s", 'ADDONS={"tests.whole.add_ons.StopEarly": 0}')
    done = crawling.run(*options, username="alice", quality="256")
    assert done.code == 4
    assert seen.read_text() == "shutdown\n"


def test_a_second_signal_ends_it_and_the_exit_code_is_the_crawl_s(
    crawling: Crawling, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    command = f"ON_END=sh -c 'echo begun > {seen}; sleep 50; echo slept > {seen}'"
    with crawling.started("-s", command, username="alice", quality="256") as process:
        wait_until(lambda: seen.exists() and seen.read_text())
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        output, _ = process.communicate(timeout=40)
    assert process.returncode == 0
    assert "ON_END ended by signal 9" in output
    assert seen.read_text() == "begun\n"


def test_a_plan_is_no_run_of_it(crawling: Crawling) -> None:
    done = crawling.scrapy("plan", "alice", "-aquality=256", "-s", "ON_END=echo never")
    assert done.code == 0
    assert "ON_END: " not in done.output
