"""A user of several processes on a real PostgreSQL, whose tars go to archive.org."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import wait_until
from tests.erin import NAME
from tests.whole.test_cut_uploads import OPTIONS, REMOVE, USER, Service, Wanted, assert_there
from tests.workers.real_workers import worker

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.xdist_group("real_uploads")]

ARGUMENTS = tuple(option for option in OPTIONS if option.startswith("-a"))
SETTINGS = dict(option[2:].split("=") for option in OPTIONS if option.startswith("-s"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    uploads = tmp_path_factory.mktemp("uploads")
    with Sandbox.running([USER], seed=5, uploads=uploads) as running:
        yield Service(running, uploads)


def test_a_worker_that_is_killed_costs_the_item_nothing(
    service: Service, tmp_path: Path, queue_address: str
) -> None:
    alone = service.crawling(tmp_path / "one" / "store")
    assert alone.scrapy("archive", "erin", *OPTIONS).code == 0
    wanted = Wanted(alone.store / NAME, service.files(), service.metadata())
    service.sandbox.reset()
    service.sandbox.set_faults({"archive": {"task_seconds": 0.3}, "cdn": {"latency_ms": 50}})
    crawling = service.crawling(tmp_path / "store")
    crawling.environment |= {**SETTINGS, "MAPILLARY_QUEUE": queue_address, "QUEUE_LEASE": "3"}
    assert crawling.scrapy("queue", "init").code == 0
    assert crawling.scrapy("archive", "erin", "--queue", *ARGUMENTS, REMOVE).code == 0
    with worker(crawling, tmp_path / "first", jobs=2) as first:
        wait_until(lambda: service.sandbox.archive()["accepted"], 120)
        slices = list(crawling.store.glob(f".incomplete/{NAME}#*"))
        assert slices, "tars are sent while slices are open"
        first.kill()
    with worker(crawling, tmp_path / "other", jobs=2) as other:
        waiting = ("archive", "erin", "--queue", "--wait", *ARGUMENTS, REMOVE)
        result = crawling.scrapy(*waiting, timeout=300)
        assert result.code == 0, result.output + (tmp_path / "other").read_text()
        other.terminate()
        assert other.wait(60) == 0
    assert_there(service, crawling.store / NAME, wanted, removed=True)
