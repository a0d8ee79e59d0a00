"""A user is archived: nothing missing, nothing foreign, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from scrapy.pqueues import _path_safe

from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.ledger.records import State
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, assert_complete, manifest, states

pytestmark = pytest.mark.slow


def test_user_of_two_thousand(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.reset()
    result = crawling.run(username="many", quality="256", timeout=300)
    assert result.code == 0, result.output
    folder = crawling.store / "mapillary-many-256"
    assert str(folder) in result.lines[0]
    assert_complete(folder, sandbox, "many", "256")

    listed = list(sandbox.catalogue.user("many").images())
    dead = {image.image_id for image in listed if image.dead}
    without = {image.image_id for image in listed if not image.dead and not image.has_url("256")}
    assert dead
    assert without
    assert result.balance == {
        "listed": 2000,
        "saved": 2000 - len(dead) - len(without),
        "gone": len(dead),
        "unavailable": len(without),
        "failed": 0,
    }
    by_state = states(folder)
    assert {name for name, state in by_state.items() if state is State.GONE} == dead
    assert {name for name, state in by_state.items() if state is State.UNAVAILABLE} == without
    named = {row["id"]: row["reason"] for row in manifest(folder / "gone.jsonl")}
    assert named == dict.fromkeys(dead, "deleted") | dict.fromkeys(without, "no-url-at-quality")

    counted = sandbox.counters()
    assert counted["images"]["max"] <= 2  # a dead image is asked for again with a fresh URL
    assert counted["cdn_authorization"] == 0
    assert counted["query_tokens"] == 0


@pytest.mark.parametrize(("fixed", "latency_ms"), [(7, 50), (140, 3000)])
def test_concurrency_is_limited_by_nothing_else(
    crawling: Crawling, sandbox: Sandbox, fixed: int, latency_ms: int
) -> None:
    sandbox.reset()
    sandbox.set_faults({"cdn": {"latency_ms": latency_ms}})  # so that there is something to overlap
    setting = f"MAPILLARY_CONCURRENCY_FIXED={fixed}"
    result = crawling.run("-s", setting, username="alice", quality="256", check_ia=0)
    sandbox.set_faults({"cdn": {"latency_ms": 0}})
    assert result.code == 0
    assert sandbox.counters()["max_in_flight"]["cdn"] == fixed


def test_what_the_user_has_set_of_scrapy_s_own_stays(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.reset()
    sandbox.set_faults({"cdn": {"latency_ms": 50}})
    options = ("-s", "CONCURRENT_ITEMS=5", "-s", "MAPILLARY_CONCURRENCY_FIXED=140")
    result = crawling.run(*options, username="alice", quality="256", check_ia=0)
    sandbox.set_faults({"cdn": {"latency_ms": 0}})
    assert result.code == 0
    assert sandbox.counters()["max_in_flight"]["cdn"] <= 5


@pytest.mark.long
@pytest.mark.parametrize(
    "setting", ["CONCURRENT_REQUESTS=8", "SCRAPER_SLOT_MAX_ACTIVE_SIZE=100000"]
)
def test_limits_of_scrapy_s_own_end_no_run(
    crawling: Crawling, sandbox: Sandbox, setting: str
) -> None:
    sandbox.reset()
    result = crawling.run("-s", setting, username="many", quality="256", check_ia=0)
    assert result.code == 0, result.output
    assert_complete(crawling.store / "mapillary-many-256", sandbox, "many", "256")


def test_hostile_rows_stay_inside_and_are_named(crawling: Crawling, sandbox: Sandbox) -> None:
    result = crawling.run(username="Ünî cødé_user", quality="256")
    assert result.code == 0, result.output
    folder = crawling.store / "mapillary-_udc_n_uee__u20_c_uf8_d_ue9__u5f_user-256"
    assert_complete(folder, sandbox, "Ünî cødé_user", "256")
    assert "5 rows without a usable id" in result.lines[-1]
    assert [path.name for path in crawling.store.iterdir()] == [folder.name]
    assert sorted(path.name for path in crawling.store.parent.iterdir()) == ["store"]


def test_user_without_images(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.reset()
    result = crawling.run(username="Alice", quality="256")
    assert result.code == 8
    assert "no images found for user Alice (names are case-sensitive)" in result.output
    assert sandbox.counters()["endpoints"]["/images"] == 2
    assert not crawling.store.exists()


def test_finished_collection_is_not_crawled_again(crawling: Crawling, sandbox: Sandbox) -> None:
    assert crawling.run(username="alice", quality="256").code == 0
    before = sandbox.counters()["requests"]
    again = crawling.run(username="alice", quality="256")
    assert again.code == 0
    assert len(again.lines) == 1
    assert "is archived since" in again.output
    assert sandbox.counters()["requests"] == before


def test_foreign_folder_is_left_alone(crawling: Crawling) -> None:
    folder = crawling.store / "mapillary-alice-256"
    folder.mkdir(parents=True)
    (folder / "2024-01-01.tar").write_text("somebody's")
    result = crawling.run(username="alice", quality="256")
    assert result.code == 2
    assert [path.name for path in folder.iterdir()] == ["2024-01-01.tar"]


def test_selection(crawling: Crawling, sandbox: Sandbox) -> None:
    listed = [image for image in sandbox.catalogue.user("alice").images() if image.captured_at]
    days = sorted({capture_day(image.captured_at) for image in listed})
    result = crawling.run(username="alice", quality="256", start=days[1], end=days[1])
    assert result.code == 0, result.output
    inside = [image for image in listed if capture_day(image.captured_at) == days[1]]
    assert result.balance["listed"] == len(inside)
    folder = crawling.store / f"mapillary-alice-256+{days[1]}_{days[1]}"
    assert {row["id"] for row in manifest(folder / "metadata.jsonl.gz")} == {
        image.image_id for image in inside
    }


def test_selection_without_a_row(crawling: Crawling) -> None:
    result = crawling.run(username="alice", quality="256", bbox="-170,-80,-169.9,-79.9")
    assert result.code == 8
    assert "alice has 150 images, none in this selection" in result.output
    assert not crawling.store.exists()


def test_a_job_folder_that_a_kill_left_half_written_is_used(
    crawling: Crawling, tmp_path: Path
) -> None:
    queue = tmp_path / "job" / "requests.queue"
    pages = queue / _path_safe("api")
    pages.mkdir(parents=True)
    for path in (queue / "active.json", pages / "0"):
        path.write_bytes(b"")
    (tmp_path / "job" / "spider.state").write_bytes(b"")
    options = ("-s", f"JOBDIR={tmp_path / 'job'}")
    result = crawling.run(*options, username="alice", quality="256", check_ia=0)
    assert result.code == 0, result.output
    assert "Traceback" not in result.output


@pytest.mark.long
@pytest.mark.parametrize("jobdir", [False, True])
def test_stop_and_run_again(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path, *, jobdir: bool
) -> None:
    sandbox.reset()
    options = ["-s", f"JOBDIR={tmp_path / 'job'}"] if jobdir else []
    options += ["-s", "CLOSESPIDER_ITEMCOUNT=500"]
    first = crawling.run(*options, username="many", quality="256", check_ia=0)
    assert first.code == 4, first.output
    assert 500 <= first.balance["saved"] < 2000
    last = crawling.run(*options[:-2], username="many", quality="256", timeout=300)
    assert last.code == 0, last.output
    assert_complete(crawling.store / "mapillary-many-256", sandbox, "many", "256")
    counted = sandbox.counters(images=True)
    dead = {image.image_id for image in sandbox.catalogue.user("many").images() if image.dead}
    assert all(count == 1 or name in dead for name, count in counted["images"]["requests"].items())
