"""Each fault alone: what the crawl makes of it, through the real command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, assert_complete, manifest

pytestmark = pytest.mark.slow

USERS = [{"username": "carol", "images": 120, "days": 2.0, "dead": 1}]
#: Small pages, so that a listing of 120 images has several.
SMALL = {"too_much_above": 63}

SURVIVED: dict[str, dict[str, Any]] = {
    "latency and jitter": {"api": {"latency_ms": 50, "jitter_ms": 100}, "cdn": {"jitter_ms": 50}},
    "API 500, 502, 503": {"api": {"server_error": 0.3, **SMALL}},
    "API 429": {"api": {"too_many": 0.3, "retry_after": 0.3, **SMALL}},
    "API 429 with a date": {"api": {"too_many": 0.3, "retry_after_date": True, **SMALL}},
    "API rate limit, 403 code 4": {"api": {"rate_limited": 0.1, **SMALL}},
    "API resets": {"api": {"reset": 0.3, **SMALL}},
    "API answers cut": {"api": {"cut": 0.3, **SMALL}},
    "API broken JSON": {"api": {"broken_json": 0.3, **SMALL}},
    "API deep JSON": {"api": {"deep_json": 0.5, **SMALL}},
    "API temporarily unavailable": {"api": {"temporary": 0.3, **SMALL}},
    "API query time-out": {"api": {"query_timeout": 0.3, **SMALL}},
    "API code 1, subcode 99": {"api": {"unknown_error": 0.3, **SMALL}},
    "API too much data": {"api": {"too_much": 0.3, **SMALL}},
    "API duplicated rows": {"api": {"duplicates": 0.3, "repeated_rows": 5, **SMALL}},
    "API empty page in the middle": {"api": {"empty_page": 0.4, **SMALL}},
    "API silently empty": {"api": {"silent_empty": 0.1, **SMALL}},
    "API rejects cursors": {"api": {"reject_cursors_after": 4, **SMALL}},
    "API error in a 200": {"api": {"error_in_200": 0.3, **SMALL}},
    "API pages with a further empty one": {"api": {"paging": "extra_page", **SMALL}},
    "API pages without paging at the end": {"api": {"paging": "bare", **SMALL}},
    "API pages with cursors only at the end": {"api": {"paging": "cursors_only", **SMALL}},
    "API batches fail as a whole": {"api": {"batch": "fail"}, "cdn": {"expired": 0.1}},
    "CDN 500, 502, 503": {"cdn": {"server_error": 0.05}},
    "CDN 429": {"cdn": {"too_many": 0.05, "retry_after": 0.3}},
    "CDN resets": {"cdn": {"reset": 0.05}},
    "CDN bodies cut": {"cdn": {"cut": 0.05}},
    "CDN bodies without a length": {"cdn": {"no_length": 0.5}},
    "CDN HTML": {"cdn": {"html": 0.05}},
    "CDN redirects": {"cdn": {"redirect": 0.05}},
    "CDN empty bodies": {"cdn": {"empty": 0.05}},
    "CDN truncated": {"cdn": {"truncated": 0.05}},
    "CDN truncated, closed": {"cdn": {"truncated_closed": 0.05}},
    "CDN zero-filled": {"cdn": {"zero_filled": 0.05}},
    "CDN zero-filled, closed": {"cdn": {"zero_filled_closed": 0.05}},
    "CDN expired URLs": {"cdn": {"expired": 0.1}},
    "CDN altered URLs": {"cdn": {"altered": 0.1}},
    "CDN forbids": {"cdn": {"forbidden": 0.05}},
    "CDN hosts differ": {"cdn": {"hosts": ["127.0.0.1", "localhost"]}},
    "CDN ceiling": {"cdn": {"ceiling": 8, "latency_ms": 20, "retry_after": -1}},
    "CDN 410 for the dead": {"cdn": {"gone_status": 410}},
    "CDN outage": {"cdn": {"outage_after": 40, "outage_seconds": 3.0, "outage": "reset"}},
    "API outage": {"api": {"outage_after": 1, "outage_seconds": 3.0, **SMALL}},
    "CDN does not answer some": {"cdn": {"stall": 0.01}},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=11) as running:
        yield running


#: Of each kind one; the others are among the long tests.
SOON = frozenset(
    {
        "API 500, 502, 503", "API resets", "API duplicated rows", "API broken JSON",
        "CDN 429", "CDN bodies cut", "CDN HTML", "CDN zero-filled", "CDN expired URLs",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [fault if fault in SOON else pytest.param(fault, marks=pytest.mark.long) for fault in SURVIVED],
)
def test_nothing_is_lost(sandbox: Sandbox, tmp_path: Path, fault: str) -> None:
    sandbox.reset()
    sandbox.set_faults(SURVIVED[fault])
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run(username="carol", quality="256", timeout=200)
    assert result.code == 0, result.output
    assert_complete(crawling.store / "mapillary-carol-256", sandbox, "carol", "256")
    assert result.balance == {
        "listed": 120,
        "saved": 119,
        "gone": 1,
        "unavailable": 0,
        "failed": 0,
    }


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        ({"api": {"redirect": 1.0}}, 7, "redirect"),
        ({"api": {"html": 1.0}}, 7, "HTML"),
        ({"api": {"token_dies_after": 1, **SMALL}}, 5, "token"),
    ],
)
def test_run_is_stopped(
    sandbox: Sandbox, tmp_path: Path, faults: dict[str, Any], code: int, said: str
) -> None:
    sandbox.reset()
    sandbox.set_faults(faults)
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run(username="carol", quality="256")
    assert result.code == code, result.output
    assert said in result.output
    assert sandbox.token not in result.output


def test_wrong_token(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment["MAPILLARY_TOKEN"] = "MLY|1234567890123456|" + "0" * 32
    result = crawling.run(username="carol", quality="256")
    assert result.code == 5, result.output
    assert "0" * 32 not in result.output


def test_api_that_never_answers(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults({"api": {"server_error": 1.0}})
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run("-s", "API_PATIENCE=3", username="carol", quality="256")
    assert result.code == 7, result.output
    assert "the token may be wrong" in result.output


@pytest.mark.parametrize("service", ["api", "cdn"])
def test_a_wish_to_wait_for_a_day_ends_the_run_at_once(
    sandbox: Sandbox, tmp_path: Path, service: str
) -> None:
    sandbox.reset()
    sandbox.set_faults({service: {"too_many": 1.0, "retry_after": 86_400}})
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run(username="carol", quality="256")
    assert result.code == 7, result.output
    assert re.search(
        r"wait for 1 d 00:00.*run the same command again after 2\d\d\d-", result.output
    )
    assert "token may be wrong" not in result.output


def test_a_cursor_of_five_megabytes_is_not_followed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults({"api": {"long_cursor": 5_000_000, **SMALL}})
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run("-s", "API_PATIENCE=2", username="carol", quality="256", check_ia=0)
    assert result.code == 7, result.output
    assert "the cursor has 5,000,000 characters" in result.output
    assert len(result.output) < 100_000
    folder = crawling.store / ".incomplete" / "mapillary-carol-256"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1_000_000
    sandbox.set_faults({"api": {"long_cursor": 0}})
    assert crawling.run(username="carol", quality="256", check_ia=0).code == 0


def test_image_servers_that_block_us_are_waited_for(sandbox: Sandbox, tmp_path: Path) -> None:
    """A log-in page for every image is no fault of the images: none uses up its attempts."""
    sandbox.reset()
    sandbox.set_faults({"cdn": {"html": 1.0}})
    crawling = Crawling(tmp_path / "store", sandbox)
    blocked = crawling.run("-s", "API_PATIENCE=5", username="carol", quality="256")
    assert blocked.code == 7, blocked.output
    assert "the image servers gave no image" in blocked.output
    assert sum(sandbox.counters(images=True)["images"]["requests"].values()) < 250
    with crawling.started(username="carol", quality="256") as process:
        lines = iter(process.stdout)  # type: ignore[arg-type]
        assert any("The image servers give no images" in line for line in lines)
        sandbox.set_faults({"cdn": {"html": 0.0}})
        process.communicate(timeout=100)
        assert process.returncode == 0
    assert_complete(crawling.store / "mapillary-carol-256", sandbox, "carol", "256")


def test_images_damaged_at_the_source(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    damaged = [image.image_id for image in sandbox.catalogue.user("carol").images()][10:13]
    sandbox.set_faults({"cdn": {"damaged": damaged}})
    crawling = Crawling(tmp_path / "store", sandbox)
    first = crawling.run(username="carol", quality="256")
    assert first.code == 3, first.output
    assert first.balance["failed"] == 3
    second = crawling.run(username="carol", quality="256")
    assert second.code == 0, second.output
    assert second.balance["saved"] == 119
    folder = crawling.store / "mapillary-carol-256"
    assert sorted(row["id"] for row in manifest(folder / "damaged.jsonl")) == sorted(damaged)


def test_failed_images_are_accepted_by_the_user_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    failing = [image.image_id for image in sandbox.catalogue.user("carol").images()][20:22]
    sandbox.set_faults({"cdn": {"html": failing}})
    crawling = Crawling(tmp_path / "store", sandbox)
    first = crawling.run("-s", "IMAGE_ATTEMPTS=2", username="carol", quality="256")
    assert first.code == 3, first.output
    assert not (crawling.store / "mapillary-carol-256").exists()
    accepted = crawling.run(
        "-s", "IMAGE_ATTEMPTS=2", username="carol", quality="256", accept_failed=1
    )
    assert accepted.code == 3, accepted.output
    named = manifest(crawling.store / "mapillary-carol-256" / "gone.jsonl")
    assert {row["id"] for row in named if row["reason"] == "accepted-failure"} == set(failing)


def test_disk_full(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    full = crawling.run("-s", f"MIN_FREE_BYTES={10**18}", username="carol", quality="256")
    assert full.code == 6, full.output
    assert "needed" in full.output
    assert crawling.run(username="carol", quality="256").code == 0


def test_second_process_ends_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults({"cdn": {"latency_ms": 2000}})
    crawling = Crawling(tmp_path / "store", sandbox)
    with crawling.started(username="carol", quality="256", check_ia=0) as first:
        assert first.stdout is not None
        first.stdout.readline()
        second = crawling.run(username="carol", quality="256")
        assert second.code == 9
        assert len(second.lines) == 1
        other = crawling.run("-s", "CLOSESPIDER_TIMEOUT=1", username="carol", quality="1024")
        assert other.code == 4, other.output


@pytest.mark.parametrize(
    "faults",
    [
        {"cdn": {"not_found": 1.0}},
        {"api": {"vanish": 1.0, "vanish_listed": True}, "cdn": {"expired": 1.0}},
    ],
    ids=["CDN", "API"],
)
@pytest.mark.long
def test_nobody_loses_images_to_a_service_that_says_all_are_gone(
    sandbox: Sandbox, tmp_path: Path, faults: dict[str, dict[str, Any]]
) -> None:
    sandbox.reset()
    sandbox.set_faults(faults)
    crawling = Crawling(tmp_path / "store", sandbox)
    for _ in range(2):
        result = crawling.run("-s", "IMAGE_ATTEMPTS=1", username="carol", quality="256")
        assert result.code == 3, result.output
        assert result.balance["gone"] <= 1, "one of them is"
        assert "not believed" in result.output
    sandbox.reset()
    result = crawling.run(username="carol", quality="256")
    assert result.code == 0, result.output
    assert (result.balance["saved"], result.balance["gone"]) == (119, 1)


def test_many_that_are_gone_are_believed_in_one_run(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    gone = [image.image_id for image in sandbox.catalogue.user("carol").images()][:70]
    sandbox.set_faults({"cdn": {"not_found": gone}})
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run(username="carol", quality="256")
    assert result.code == 0, result.output
    assert result.balance["gone"] >= 70
