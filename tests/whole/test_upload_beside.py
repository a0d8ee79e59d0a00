"""`crawl user -a upload=1 -a remove=1` with days that are sealed while the crawl goes on."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import IA_KEYS, Crawling, images, wait_until

pytest.importorskip("mapillary_crawler.crawl.sealing", reason="days are sealed at the end")

pytestmark = [pytest.mark.slow, pytest.mark.long]

ITEM = "mapillary-long-256"
_USERS = [{"username": "long", "images": 600, "days": 12.0, "dead": 2}]


@pytest.fixture
def uploads(tmp_path):
    return tmp_path / "uploads"


@pytest.fixture
def sandbox(uploads):
    with Sandbox.running(_USERS, seed=5, uploads=uploads) as running:
        yield running


@pytest.fixture
def crawling(sandbox, tmp_path):
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment |= {
        **IA_KEYS,
        "HOME": str(tmp_path),
        "IA_RETRY_WAIT": "0.02",
        "IA_PATIENCE": "60",
        "TAR_MAX_BYTES": "300000",
    }
    return crawling


def held(sandbox) -> dict[str, str]:
    found = sandbox.archive()["items"].get(ITEM, {})
    return {file["name"]: file["md5"] for file in found.get("files", [])}


@pytest.fixture
def whole(sandbox, crawling, tmp_path):
    """Crawl the same without an upload; return the collection."""
    other = Crawling(tmp_path / "whole", sandbox)
    other.environment |= {"TAR_MAX_BYTES": crawling.environment["TAR_MAX_BYTES"]}
    assert other.run(username="long", quality="256").code == 0
    return tmp_path / "whole" / ITEM


def assert_proven(uploads: Path, folder: Path, whole: Path) -> None:
    """Assert that the item's tars are those of one undisturbed crawl, and the manifests here."""
    tars = sorted(path.name for path in whole.glob("*.tar"))
    assert sorted(path.name for path in (uploads / ITEM).glob("*.tar")) == tars
    for name in tars:
        assert (uploads / ITEM / name).read_bytes() == (whole / name).read_bytes()
    for name in ("SHA256SUMS", "metadata.jsonl.gz", "checksums.jsonl.gz", "gone.jsonl"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
        assert (uploads / ITEM / name).read_bytes() == (whole / name).read_bytes()
    assert not list(folder.glob("*.tar"))
    assert len(images(uploads / ITEM)) == 598


def test_tars_go_while_the_crawl_goes_on(crawling, sandbox, whole, uploads):
    sandbox.set_faults({"cdn": {"latency_ms": 20}, "archive": {"task_seconds": 0.1}})
    crawling.environment["MAPILLARY_CONCURRENCY_FIXED"] = "2"
    staging = crawling.store / ".incomplete" / ITEM
    with crawling.started(username="long", quality="256", upload=1, remove=1) as process:
        wait_until(lambda: len(held(sandbox)) >= 4)
        assert staging.exists()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert_proven(uploads, crawling.store / ITEM, whole)


def test_kills_beside_the_crawl(crawling, sandbox, whole, uploads):
    weather = {"slow_down": 0.1, "reset": 0.05, "lost": 0.02, "latency_ms": 10}
    sandbox.set_faults({"cdn": {"latency_ms": 10}, "archive": {**weather, "task_seconds": 0.1}})
    crawling.environment["MAPILLARY_CONCURRENCY_FIXED"] = "4"
    generator, kills = random.Random(9), 0
    while True:
        with crawling.started(username="long", quality="256", upload=1, remove=1) as process:
            if kills < 8:
                time.sleep(generator.uniform(1.5, 5))
                if process.poll() is None:
                    process.kill()
                    kills += 1
            output, _ = process.communicate(timeout=180)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, output
    assert_proven(uploads, crawling.store / ITEM, whole)
    archive = sandbox.archive()
    lost = sandbox.counters()["faults"].get("archive.lost", 0)
    sent = {name: count for name, count in archive["accepted"].items() if name.endswith(".tar")}
    assert sum(sent.values()) - len(sent) <= kills + lost
