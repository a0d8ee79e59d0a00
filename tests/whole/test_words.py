"""What the last line of a real crawl says, and at which level a server's log has it."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.sandbox.image import Image
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, Result, wait_until

pytestmark = pytest.mark.slow

ITEM = "mapillary-bob-1024"


def typed(crawling: Crawling, line: str) -> Result:
    """Run the command that a line ends with, as somebody would who copies it."""
    program, *words = shlex.split(line[line.rindex("scrapy ") :])
    assert program == "scrapy"
    return crawling.scrapy(*words)


def levels(log: Path) -> dict[str, str]:
    """Return the level of each line of a log."""
    found = re.findall(r"^\S+ \S+ \[\S+\] ([A-Z]+): (.*)", log.read_text(), re.MULTILINE)
    return {line: level for level, line in found}


@pytest.fixture(scope="module")
def bobs() -> Iterator[Sandbox]:
    items = {ITEM: {"metadata": {"identifier": ITEM}}}
    users = [{"username": "bob", "images": 40, "dead": 2}, {"username": "b ö", "images": 120}]
    with Sandbox.running(users, seed=3, items=items) as running:
        yield running


def is_begun(progress: dict[str, Any]) -> bool:
    return bool(progress["saved"] > 2 and progress["failed"] == 2)


def place(image: Image) -> tuple[str, str]:
    return capture_day(image.captured_at), f"{image.sequence}/{image.image_id}"


def test_a_stopped_run_says_what_is_left_and_what_to_type(bobs: Sandbox, tmp_path: Path) -> None:
    bobs.reset()
    images = sorted(bobs.catalogue.user("b ö").images(), key=place)  # as they are fetched
    broken = [image.image_id for image in images[3:5]]
    bobs.set_faults({"cdn": {"truncated": broken, "latency_ms": 1000}})
    crawling = Crawling(tmp_path / "store", bobs)
    options = ("-s", "IMAGE_ATTEMPTS=1", "-s", "MAPILLARY_CONCURRENCY_FIXED=2")
    progress = crawling.store / ".incomplete/mapillary-b_u20__uf6_-256" / PROGRESS_PATH
    with crawling.started(*options, username="b ö", quality="256") as process:
        wait_until(lambda: progress.exists() and is_begun(json.loads(progress.read_text())))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    stopped = Result(process.returncode, output)
    assert stopped.code == 4
    counts = stopped.balance
    assert (counts["listed"], counts["failed"]) == (120, 2)
    assert counts["left"] == 118 - counts["saved"] > 0
    told = json.loads(progress.read_text())
    assert {name: told[name] for name in counts} == counts
    row = crawling.scrapy("status").lines[-1].partition("interrupted")[2].split()
    assert row[:5] == ["120", str(counts["saved"]), "0", "2", str(counts["left"])]

    bobs.set_faults({"cdn": {"truncated": broken, "latency_ms": 0}})
    failed = typed(crawling, stopped.lines[-1])
    assert failed.code == 3, failed.output
    assert "incomplete (2 failed of 120 images): " in failed.lines[-1]
    bobs.reset()
    done = typed(crawling, failed.lines[-1])
    assert done.code == 0, done.output
    assert done.lines[-1].endswith(f"; it is in {crawling.store}/mapillary-b_u20__uf6_-256")


def test_what_archive_org_has_is_said_and_can_be_fetched(bobs: Sandbox, tmp_path: Path) -> None:
    bobs.reset()
    crawling = Crawling(tmp_path / "store", bobs)
    before = bobs.counters()["requests"].get("api", 0)
    quiet = crawling.run("--nolog", username="bob", quality="1024", check_ia=1)
    assert quiet.code == 0
    assert f"/details/{ITEM}" in quiet.lines[-1]
    assert "To fetch it all the same: " in quiet.lines[-1]
    assert bobs.counters()["requests"].get("api", 0) == before

    planned = crawling.scrapy("plan", "bob", "-a", "quality=1024", "--nolog")
    assert planned.code == 0, planned.output
    assert planned.lines[-1].endswith("scrapy crawl user -a username=bob -a quality=1024 -a "
                                      "check_ia=0 --nolog")  # fmt: skip
    fetched = typed(crawling, quiet.lines[-1])
    assert fetched.code == 0, fetched.output
    assert fetched.balance["gone"] == 2
    assert fetched.lines[-1].endswith(
        f"; it is in {crawling.store}/{ITEM}; gone.jsonl there names the 2 that are not"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "level", "said"),
    [
        ({"username": "bob", "quality": "1024"}, 0, "INFO", "already archived"),
        ({"username": "Bob", "quality": "256"}, 8, "ERROR", "no images found for user Bob"),
        ({"username": "bob", "quality": "3"}, 2, "ERROR", "quality '3' is unknown"),
    ],
)
def test_errors_of_the_user_are_errors_in_a_log(
    bobs: Sandbox, tmp_path: Path, arguments: dict[str, str], code: int, level: str, said: str
) -> None:
    bobs.reset()
    crawling, log = Crawling(tmp_path / "store", bobs), tmp_path / "log"
    assert crawling.run("--logfile", str(log), **arguments).code == code
    found = levels(log)
    last = list(found)[-1]
    assert said in last
    assert found[last] == level
    if code == 0:
        assert "ERROR" not in found.values()


def test_in_a_log_a_finished_collection_is_no_error(bobs: Sandbox, tmp_path: Path) -> None:
    bobs.reset()
    crawling, log = Crawling(tmp_path / "store", bobs), tmp_path / "log"
    options = ("--logfile", str(log))
    assert crawling.run(*options, username="bob", quality="256").code == 0
    assert crawling.run(*options, username="bob", quality="256").code == 0
    found = levels(log)
    assert {found[line] for line in found if ": complete: " in line} == {"INFO"}
    assert {found[line] for line in found if "is archived since" in line} == {"INFO"}
