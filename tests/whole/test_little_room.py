"""`crawl user -a upload=1 -a remove=1` with little room, against the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import IA_KEYS, Crawling, Result, images

pytestmark = [pytest.mark.slow, pytest.mark.long]

ITEM = "mapillary-up-1024"
_BOUND, _PART = 8_000_000, 2_000_000
ROOM = (f"STAGING_MAX_BYTES={_BOUND}", f"TAR_MAX_BYTES={_PART}", "IN_FLIGHT_BYTES=2MB")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    users = [{"username": "up", "images": 130, "days": 2.0, "panoramas": 0.0}]
    with Sandbox.running(users, seed=5) as running:
        yield running


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment |= {
        "HOME": str(tmp_path),
        **IA_KEYS,
        "IA_RETRY_WAIT": "0.02",
        "IA_PATIENCE": "20",
    }
    return crawling


def crawl(crawling: Crawling, *settings: str, **arguments: int) -> Result:
    options = [option for setting in settings for option in ("-s", setting)]
    return crawling.run(*options, username="up", quality="1024", check_ia=0, **arguments)


def test_more_than_there_is_room_for_passes(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"archive": {"task_seconds": 0.5}})
    result = crawl(crawling, *ROOM, upload=1, remove=1)
    assert result.code == 0, result.output
    assert result.balance["saved"] == 130
    assert images(crawling.store / ITEM) == {}
    held = sandbox.archive()["items"][ITEM]["files"]
    assert sum(file["name"].endswith(".tar") for file in held) >= 7


def test_room_for_less_than_a_part_is_refused_before_any_request(
    crawling: Crawling, sandbox: Sandbox
) -> None:
    result = crawl(crawling, "STAGING_MAX_BYTES=60MB", upload=1, remove=1)
    assert result.code == 2, result.output
    assert "STAGING_MAX_BYTES (60000000)" in result.output
    assert "Traceback" not in result.output
    assert sandbox.counters()["requests"] == {}
    assert not crawling.store.exists()
    values = re.search(r"(IN_FLIGHT_BYTES=\d+) with (TAR_MAX_BYTES=\d+)", result.output)
    assert values, result.output
    fits = crawl(crawling, "STAGING_MAX_BYTES=60MB", *values.groups(), upload=1, remove=1)
    assert fits.code == 0, fits.output


def test_refused_keys_end_a_crawl_once_the_room_is_used_up(
    crawling: Crawling, sandbox: Sandbox
) -> None:
    sandbox.set_faults({"archive": {"forbidden": 1.0}})
    result = crawl(crawling, *ROOM, upload=1, remove=1)
    assert result.code == 6, result.output
    assert "nothing makes room" in result.output
    assert "refuse" in result.output
    staging = crawling.store / ".incomplete" / ITEM
    assert len(images(staging)) == result.balance["saved"] > 30
    sandbox.set_faults({"archive": {"forbidden": 0.0}})
    again = crawl(crawling, *ROOM, upload=1, remove=1)
    assert again.code == 0, again.output
    assert sandbox.counters()["images"]["total"] == 130


def test_without_uploads_the_bound_is_the_end(crawling: Crawling) -> None:
    result = crawl(crawling, "STAGING_MAX_BYTES=8MB", "CONCURRENT_ITEMS=8")
    assert result.code == 6, result.output
    assert "STAGING_MAX_BYTES (8000000) is used up" in result.output
    assert 40 < result.balance["saved"] < 90
    assert crawl(crawling, "STAGING_MAX_BYTES=80MB").code == 0
