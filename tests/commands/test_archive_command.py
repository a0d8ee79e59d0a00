"""`scrapy archive` through the real command line."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, wait_until
from tests.pseudo_terminal import on_terminal

pytestmark = pytest.mark.slow


def table(output: str) -> dict[str, list[str]]:
    """Return the cells of each user's line, behind the heading."""
    _, _, rows = output.rpartition("user  ")
    lines = [line for line in rows.splitlines()[1:-1] if line.strip()]
    return {line.split()[0]: line.split() for line in lines}


def test_several_users_one_after_another(crawling: Crawling, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# friends\nbob\nnobody # is not there\nalice\n")
    result = crawling.scrapy("archive", "--from", str(tmp_path / "names.txt"), "-a", "quality=256")
    assert result.code == 8, result.output
    found = table(result.output)
    assert list(found) == ["nobody", "in"]
    assert found["nobody"][1] == "-"
    assert found["in"][2:6] == ["100", "98", "2", "0"]
    assert result.lines[-1] == "3 users: 2 complete, 1 no images (8)"
    assert "bob: user 1 of 3 · 0 failed · 0 images · 0 B" in result.lines
    third = next(line for line in result.lines if line.startswith("alice: user 3 of 3"))
    assert re.search(r" · 1 failed · 40 images · [\d.]+ kB · \d+:\d+ left$", third)

    again = crawling.scrapy("archive", "alice", "bob", "alice", "-a", "quality=256", "-a", "tar=1")
    assert again.code == 0
    assert again.lines[-1] == "2 users: 2 archived before"
    assert list(table(again.output)) == ["in"]


def test_user_whose_item_is_on_archive_org(crawling: Crawling, sandbox: Sandbox) -> None:
    """It is no complete collection here, though its crawl ended well."""
    item = {"mapillary-alice-256": {"metadata": {"identifier": "x"}}}
    with Sandbox.running([{"username": "alice", "images": 5}], items=item) as other:
        crawling.environment |= other.environment
        result = crawling.scrapy("archive", "alice", "-a", "quality=256")
    assert result.code == 0, result.output
    assert table(result.output)["alice"][-2:] == ["already", "archived"]


def test_jobs_share_the_concurrency(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 50}})
    result = crawling.scrapy(
        "archive", "bob", "alice", "carol", "--jobs=2", "-a", "quality=256", "-a", "check_ia=0",
        "-s", "MAPILLARY_CONCURRENCY_FIXED=8", "-L", "INFO",
    )  # fmt: skip
    assert result.code == 0, result.output
    assert sandbox.counters()["max_in_flight"]["cdn"] <= 8
    for name in ("bob", "alice", "carol"):
        assert re.search(rf"^\[{name}\] .*The listing is complete", result.output, re.MULTILINE)
        assert (crawling.store / f"mapillary-{name}-256").is_dir()


def test_names_from_standard_input(crawling: Crawling) -> None:
    done = subprocess.run(
        [*SCRAPY, "archive", "--from", "-", "-a", "quality=256", "--nolog"],
        input="bob\n", cwd=PROJECT, env=crawling.environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "1 user: 1 complete"
    assert "\x1b" not in done.stdout


def test_failing_user_stops_nobody(crawling: Crawling, sandbox: Sandbox) -> None:
    broken = [image.image_id for image in sandbox.catalogue.user("bob").images()][:1]
    sandbox.set_faults({"cdn": {"truncated": broken}})
    crawling.environment["IMAGE_ATTEMPTS"] = "2"
    result = crawling.scrapy("archive", "bob", "nobody", "alice", "-a", "quality=256")
    assert result.code == 3  # one unknown name is nothing beside images that failed
    found = table(result.output)
    assert found["bob"][1:5] == ["40", "39", "0", "1"]
    assert "incomplete (3)" in result.output
    assert "alice" not in found
    assert "1 complete" in result.lines[-1]


def test_a_ledger_that_cannot_be_read_ends_nobody_else(crawling: Crawling) -> None:
    ledger = crawling.store / ".incomplete" / "mapillary-bob-256" / LEDGER_PATH
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"no ledger at all" * 1000)
    result = crawling.scrapy("archive", "bob", "alice", "--jobs=2", "-a", "quality=256")
    assert result.code == 3, result.output
    assert "Traceback" not in result.output
    assert result.lines[-1].startswith("2 users: 1 incomplete (3), 1 complete")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_all(
    crawling: Crawling, sandbox: Sandbox, jobs: int, number: signal.Signals
) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 3000}})
    command = [*SCRAPY, "archive", "carol", "alice", "bob", f"--jobs={jobs}", "-a", "quality=256"]
    with on_terminal(command, crawling.environment, PROJECT, columns=120) as terminal:
        wait_until(lambda: re.search(r"of (400|60) ?(images)?", terminal.text))
        terminal.process.send_signal(number)
        assert terminal.wait(30) == 4
    assert "Traceback" not in terminal.text
    assert "not started" in terminal.text
    assert "interrupted (4)" in terminal.text
    assert "in flight" not in terminal.raw.rpartition("\x1b[2K")[2]
    assert "INFO" not in terminal.text
    said = re.sub(r" \\\n +|\n +", " ", terminal.text)
    assert "again: scrapy crawl user -a username=carol -a quality=256\n" in said
    assert said.splitlines()[-1].startswith("3 users: ")
    assert said.splitlines()[-1].endswith("; run the same command again")


def test_missing_token_is_said_once(crawling: Crawling) -> None:
    del crawling.environment["MAPILLARY_TOKEN"]
    result = crawling.scrapy("archive", "alice", "bob")
    assert result.code == 2
    assert len(result.lines) == 1
    assert "MAPILLARY_TOKEN is not set" in result.output
