"""Three hundred users: those archived need no process, and each end is a line while it runs."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import Picture, add, finish
from tests.crawling import PROJECT, SCRAPY, Crawling, manifest, wait_until
from tests.pseudo_terminal import on_terminal

pytestmark = pytest.mark.slow

#: The fields of a user's line, and of the sum's: docs/commands.md has them.
COUNTS = {
    "listed", "saved", "damaged", "gone", "unavailable", "failed", "left", "accepted", "outside",
    "nameless", "bytes_saved", "bare", "vanished",
}  # fmt: skip
USER = {
    "username", "collection", "outcome", "exit_code", "skipped", "finished", "started_at",
    "ended_at", "archive_org",
}  # fmt: skip
SUM = {"username", "users", "outcomes", "exit_code"}
OPTIONS = ("-a", "quality=256", "-a", "check_ia=0")


def collections(store: Path, count: int) -> list[str]:
    """Make finished collections of two images; return their users."""
    made = store.parent / "made"
    add(made, [Picture("1"), Picture("2")])
    finish(made, store, Collection("user0", "256"))
    names = [f"user{number}" for number in range(count)]
    for name in names[1:]:
        shutil.copytree(store / "mapillary-user0-256", store / Collection(name, "256").name)
    return names


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_archived_users_are_skipped_by_one_process(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path
) -> None:
    names = collections(crawling.store, 300)
    (tmp_path / "names").write_text("\n".join(names))
    before = sorted(path.name for path in crawling.store.iterdir())
    result = crawling.scrapy("archive", "--from", str(tmp_path / "names"), *OPTIONS)
    assert result.code == 0, result.output
    assert result.lines[-1] == "300 users: 300 archived before"
    assert len(result.lines) == 3  # and the sum of all, below a heading: no crawl said a word
    assert result.lines[1].split()[:4] == ["in", "all", "600", "600"]
    assert sandbox.counters()["requests"] == {}
    assert sorted(path.name for path in crawling.store.iterdir()) == before


def test_who_is_worked_on_is_not_skipped(crawling: Crawling) -> None:
    names = collections(crawling.store, 2)
    staging = crawling.store / ".incomplete"
    lock = Lock({crawling.store, staging}, "mapillary-user0-256")
    try:
        result = crawling.scrapy("archive", *names, *OPTIONS)
    finally:
        lock.release()
    assert result.code == 9, result.output
    assert "another process works on" in result.output
    assert "1 archived before" in result.lines[-1]


def test_a_line_for_each_end(crawling: Crawling, sandbox: Sandbox, tmp_path: Path) -> None:
    """In the file as soon as it has ended, and in the output with --json, there with the sum."""
    log = tmp_path / "ends.jsonl"
    log.write_text('{"username": "earlier"}\n')
    names = collections(crawling.store, 1)
    result = crawling.scrapy(
        "archive", "bob", "nobody", *names, *OPTIONS, "--nolog", "--json", "--log-json", str(log)
    )
    assert result.code == 8, result.output
    *users, total = lines(result.output)
    assert manifest(log) == [{"username": "earlier"}, *users]
    assert {frozenset(user) for user in users} == {frozenset(USER | COUNTS)}
    assert set(total) == SUM | COUNTS
    bob, nobody, user0 = users
    assert (bob["username"], bob["exit_code"], bob["skipped"]) == ("bob", 0, False)
    assert (bob["listed"], bob["saved"], bob["finished"]) == (40, 40, True)
    assert bob["collection"] == "mapillary-bob-256"
    assert bob["started_at"] <= bob["ended_at"]
    assert (nobody["exit_code"], nobody["listed"], nobody["finished"]) == (8, None, False)
    assert (user0["skipped"], user0["outcome"], user0["started_at"]) == (
        True, "archived before", None,
    )  # fmt: skip
    assert (total["username"], total["users"], total["saved"]) == (None, 3, 42)
    assert total["outcomes"] == {"complete": 1, "no images (8)": 1, "archived before": 1}
    assert total["exit_code"] == 8


def test_the_line_is_there_while_others_run(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path
) -> None:
    log = tmp_path / "ends.jsonl"
    assert crawling.run(username="bob", quality="256", check_ia=0).code == 0
    sandbox.set_faults({"cdn": {"latency_ms": 3000}})
    command = [
        *SCRAPY, "archive", "bob", "carol", "alice", "--jobs=2", *OPTIONS, "--log-json", str(log)
    ]  # fmt: skip
    with on_terminal(command, crawling.environment, PROJECT, columns=120) as terminal:
        wait_until(
            lambda: (
                "user 3 of 3 · 0 failed · 40 images" in terminal.text
                and " images/s" in terminal.text
            )
        )
        wait_until(lambda: "of 400 " in terminal.text and "of 60 " in terminal.text)
        assert [row["username"] for row in manifest(log)] == ["bob"]
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait(30) == 4
    assert {row["outcome"] for row in manifest(log)} == {"archived before", "interrupted (4)"}


def test_a_file_that_cannot_be_written(crawling: Crawling, tmp_path: Path) -> None:
    absent = tmp_path / "absent/ends.jsonl"
    result = crawling.scrapy("archive", "bob", *OPTIONS, "--log-json", str(absent))
    assert (result.code, len(result.lines)) == (2, 1)
    assert f"--log-json {absent} cannot be written" in result.output
    full = crawling.scrapy("archive", "bob", *OPTIONS, "--log-json", "/dev/full")
    assert full.code == 0, full.output
    assert "--log-json lacks bob: No space left on device" in full.output


@pytest.fixture
def two(crawling: Crawling) -> Path:
    """Make a finished collection, and one with a file too many."""
    collections(crawling.store, 2)
    (crawling.store / "mapillary-user1-256/strange").touch()
    return crawling.store


def test_status_for_programs(crawling: Crawling, two: Path) -> None:
    (two / "mapillary-zed-256").mkdir()
    first, _, zed = lines(crawling.scrapy("status", "--json").output)
    own = {"collection", "state", "listing_closed", "active_at", "lost", "archive_org", "updated"}
    assert set(first) == own | COUNTS
    assert (first["lost"], first["archive_org"]) == ([], None)
    assert (first["state"], first["saved"], first["listing_closed"]) == ("archived", 2, True)
    assert zed["saved"] is zed["listing_closed"] is None
    assert crawling.scrapy("status", "--json", "nothing").code == 2
    shutil.rmtree(two)
    assert crawling.scrapy("status", "--json").output == ""


def test_verify_for_programs(crawling: Crawling, two: Path) -> None:
    (two / "foreign").mkdir()
    names = ("mapillary-user0-256", "mapillary-user1-256", "foreign")
    result = crawling.scrapy("verify", "--fast", "--json", *names)
    assert result.code == 1
    first, problem, second, foreign = lines(result.output)
    figures = {
        "collection", "exit_code", "error", "finished", "problems", "files", "bytes", "elsewhere",
        "seconds",
    }  # fmt: skip
    assert set(first) == set(foreign) == figures | COUNTS
    assert (first["exit_code"], first["problems"], first["saved"]) == (0, 0, 2)
    said = "strange: extra, the ledger does not have it"
    assert problem == {"collection": "mapillary-user1-256", "problem": said}
    assert (second["exit_code"], second["problems"]) == (1, 1)
    assert (foreign["exit_code"], foreign["problems"]) == (2, None)
    assert "foreign" in foreign["error"]
