"""`scrapy plan` through the real command line: listed once, estimated, kept for the crawl."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, assert_complete, manifest, wait_until

pytestmark = pytest.mark.long


def plan(crawling: Crawling, *arguments: str) -> list[dict[str, Any]]:
    """Return what `--json` prints."""
    done = subprocess.run(
        [*SCRAPY, "plan", *arguments, "--json"],
        cwd=PROJECT, env=crawling.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 8), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_plan_then_crawl(crawling: Crawling, sandbox: Sandbox) -> None:
    (found,) = plan(crawling, "carol", "-a", "quality=256")
    images = list(sandbox.catalogue.user("carol").images())
    assert found["images"] == 400 == len(images)
    assert found["saved"] == 20
    assert found["left"] == 380
    assert found["undated"] == sum(image.captured_at is None for image in images)
    assert sum(camera["images"] for camera in found["cameras"]) == 400
    for quality, estimated in found["bytes"].items():
        true = sum(len(sandbox.catalogue.body(image, quality)) for image in images[::8]) * 8
        assert abs(estimated["size"] - true) < 3 * estimated["error"] + 0.15 * true, quality
        assert estimated["sample"] == 20
    assert found["disk_needed"] > 0.5 * found["bytes"]["256"]["size"]
    assert found["fits"] is True
    assert found["archive_org"] == "absent"
    assert found["items"] == 1
    counted = sandbox.counters()
    assert counted["images"]["ids"] == 20
    assert counted["images"]["max"] == 4  # each of the sample in all four sizes

    sandbox.reset()
    folder = crawling.store / ".incomplete/mapillary-carol-256"
    assert list(folder.glob("download.log.*"))
    assert "planned" in crawling.scrapy("status").output
    result = crawling.run(username="carol", quality="256")
    assert result.code == 0, result.output
    counted = sandbox.counters()
    assert counted["endpoints"].get("/images", 0) == 0  # it does not list again
    assert counted["images"]["total"] == 380
    assert_complete(crawling.store / folder.name, sandbox, "carol", "256")
    assert len(list((crawling.store / folder.name).glob("download.log.*"))) == 2

    (again,) = plan(crawling, "carol", "-a", "quality=256")
    assert again["archived"] is True
    assert again["new"] == 0


def test_report_for_people(crawling: Crawling) -> None:
    result = crawling.scrapy("plan", "alice", "-a", "quality=1024", "--nolog")
    assert result.code == 0
    text = " ".join(result.output.split())
    for part in (
        "images 60,", "of them panoramas", "captured 2024-05-2", "sequences", "cameras",
        "± ", "chosen", "needed,", "images/s", "1 item on archive.org", "20 saved, 40 to fetch",
        "crawl scrapy crawl user -a username=alice -a quality=1024",
    ):  # fmt: skip
        assert part in text, part
    assert "\x1b" not in result.output
    assert not (crawling.store / "mapillary-alice-1024").exists()


def test_a_plan_that_does_not_fit_is_removed_by_clean(crawling: Crawling) -> None:
    command = ["plan", "alice", "-a", "quality=256", "-s", f"MIN_FREE_BYTES={1 << 60}"]
    short = crawling.scrapy(*command, "--nolog")
    assert short.code == 6  # not even the sample has room
    command[-1] = "MIN_FREE_BYTES=0"
    assert crawling.scrapy(*command, "--nolog").code == 0
    (found,) = plan(crawling, *command[1:])
    assert found["fits"] is True
    folder = crawling.store / ".incomplete/mapillary-alice-256"
    cleaned = crawling.scrapy("clean", "--yes")
    assert f"{folder} (a plan: 60 images listed, 20 of them fetched)" in cleaned.output
    assert not folder.exists()
    assert "nothing to remove" in crawling.scrapy("clean").output


def test_several_users_and_one_that_is_not_there(crawling: Crawling) -> None:
    found = plan(crawling, "bob", "nobody", "alice", "-a", "quality=256")
    assert [each["username"] for each in found] == ["bob", "alice", None]
    bob, alice, total = found
    assert (total["users"], total["planned"]) == (3, 2)
    for name in ("images", "saved", "left", "disk_needed", "seconds"):
        assert total[name] == bob[name] + alice[name], name
    assert total["bytes"]["256"]["size"] == sum(
        each["bytes"]["256"]["size"] for each in (bob, alice)
    )
    assert total["fits"] is True
    result = crawling.scrapy("plan", "nobody", "bob", "-a", "quality=256", "--nolog")
    assert result.code == 8
    assert "no images" in result.output


def test_users_of_a_file_and_their_sum(crawling: Crawling, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("bob\nnobody  # gone\nalice\n")
    log = tmp_path / "plans.jsonl"
    options = ("-a", "quality=256", "--nolog", "--log-json", str(log))
    result = crawling.scrapy("plan", "--from", str(tmp_path / "names"), *options)
    assert result.code == 8
    text = " ".join(result.output.partition("in all")[2].split())
    for part in (
        "users 2 planned, 1 without a plan", "images 100; 40 saved, 60 to fetch", " at 256",
        "disk ", " needed, ", " free", "one after another",
    ):  # fmt: skip
        assert part in text, part
    assert [row["username"] for row in manifest(log)] == ["bob", "alice"]
    refused = crawling.scrapy("plan", "--from", str(tmp_path / "absent"))
    assert refused.code == 2
    assert "absent cannot be read" in refused.lines[-1]


def test_user_smaller_than_the_sample_is_not_finished(crawling: Crawling, sandbox: Sandbox) -> None:
    (found,) = plan(crawling, "bob", "-a", "quality=256", "-a", "start=2024-05-31")
    assert found["collection"] == "mapillary-bob-256+2024-05-31_"
    assert 0 < found["images"] <= 20
    assert found["left"] == 0
    assert found["items"] == 0
    assert found["outside"] == 40 - found["images"] or found["outside"] >= 0
    assert (crawling.store / ".incomplete" / found["collection"]).is_dir()


def test_crawl_asks_archive_org_after_a_plan(running: Sandbox, tmp_path: Path) -> None:
    items = {"mapillary-bob-256": {"metadata": {"identifier": "mapillary-bob-256"}}}
    with Sandbox.running([{"username": "bob", "images": 30}], items=items) as sandbox:
        crawling = Crawling(tmp_path / "store", sandbox)
        (found,) = plan(crawling, "bob", "-a", "quality=256")
        assert found["archive_org"] == "exists"
        for _ in range(2):
            result = crawling.run(username="bob", quality="256")
            assert result.code == 0
            assert "archive.org has it: " in result.lines[-1]
            assert result.lines[-1].endswith("-a check_ia=0")
            assert not (crawling.store / "mapillary-bob-256").exists()
        result = crawling.run(username="bob", quality="256", check_ia=0)
        assert result.balance["saved"] == 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("users", [["carol"], ["carol", "bob"]])
def test_interrupted_plan_goes_on(
    crawling: Crawling, sandbox: Sandbox, users: list[str], number: signal.Signals
) -> None:
    sandbox.set_faults({"api": {"latency_ms": 500, "too_much_above": 100}})
    process = subprocess.Popen(
        [*SCRAPY, "plan", *users, "-a", "quality=256"],
        cwd=PROJECT, env=crawling.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    with process:
        wait_until(lambda: sandbox.counters()["requests"].get("api", 0) > 7)
        process.send_signal(number)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 4, output
    assert "Traceback" not in output
    assert "mapillary-carol-256: interrupted: listed " in output
    sandbox.reset()
    (found,) = plan(crawling, "carol", "-a", "quality=256")
    assert found["images"] == 400
