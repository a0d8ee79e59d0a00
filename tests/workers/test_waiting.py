"""What `archive --queue --wait` says of users as they end, and what does not go with `--queue`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mapillary_crawler.workers import waiting
from mapillary_crawler.workers.database import QueueRefused
from mapillary_crawler.workers.dsn import Dsn, read_dsn
from mapillary_crawler.workers.overview import Overview, UserInQueue
from mapillary_crawler.workers.waiting import counted_in_queue
from tests.crawling import PROJECT, Crawling, wait_until
from tests.workers.fleet import Fleet


@pytest.fixture
def crawling(tmp_path: Path) -> Crawling:
    return Crawling(tmp_path / "store")


@pytest.mark.long
def test_a_line_for_each_end_as_soon_as_it_has_ended(
    fleet: Fleet, crawling: Crawling, tmp_path: Path
) -> None:
    crawling.environment["MAPILLARY_QUEUE"] = fleet.address
    fleet.plan({"alice": [(0.1, 0)], "nobody": [(0.1, 8)], "bob": [(60, 3)]})
    log, printed = tmp_path / "ends.jsonl", tmp_path / "printed"
    command = ["archive", "bob", "alice", "nobody", "--queue", "--wait", "--json"]
    with (
        fleet.worker(jobs=2),
        printed.open("w") as output,
        subprocess.Popen(
            [*crawling.command_line, *command, "--log-json", str(log)],
            cwd=PROJECT, env=crawling.environment, stdout=output,
        ) as process,
    ):  # fmt: skip
        try:
            wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 2)
            assert fleet.states()["bob"] == "running"
            assert printed.read_text() == log.read_text()
            assert fleet.cancel("bob") == 1
            assert process.wait(30) == 4
        finally:
            process.kill()
    *lines, total = map(json.loads, printed.read_text().splitlines())
    assert lines == [json.loads(line) for line in log.read_text().splitlines()]
    ended = {each["username"]: (each["state"], each["exit_code"]) for each in lines}
    assert ended == {"alice": ("done", 0), "nobody": ("done", 8), "bob": ("cancelled", 4)}
    assert (total["username"], total["users"], total["exit_code"]) == (None, 3, 4)
    assert sum(total["outcomes"].values()) == 3


@pytest.mark.long
def test_without_json_the_last_line_counts_them(fleet: Fleet, crawling: Crawling) -> None:
    crawling.environment["MAPILLARY_QUEUE"] = fleet.address
    fleet.plan({"nobody": [(0.1, 8)]})
    with fleet.worker():
        result = crawling.scrapy("archive", "nobody", "--queue", "--wait")
        assert result.code == 8
        assert "nobody: done (8), 1 of 1" in result.lines[-2]
        assert result.lines[-1] == "1 user: 1 done (8)"


@pytest.mark.long
def test_a_log_that_cannot_be_written_puts_nobody_into_the_queue(
    fleet: Fleet, crawling: Crawling, tmp_path: Path
) -> None:
    crawling.environment["MAPILLARY_QUEUE"] = fleet.address
    log = str(tmp_path / "absent/ends.jsonl")
    result = crawling.scrapy("archive", "alice", "--queue", "--wait", "--log-json", log)
    assert result.code == 2
    assert "cannot be written" in result.output
    assert fleet.states() == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--jobs", "2"], "--jobs does not go with --queue"),
        (["--jobs", "1", "--wait"], "--jobs does not go with --queue"),
        (["--json"], "--json goes with --queue only where users are waited for: add --wait"),
        (["--log-json", "ends"], "--log-json goes with --queue only where users are waited for"),
    ],
    ids=["jobs", "jobs and wait", "json", "log"],
)
def test_what_would_be_of_no_effect_is_refused(
    crawling: Crawling, tmp_path: Path, options: list[str], why: str
) -> None:
    crawling.environment["MAPILLARY_QUEUE"] = "postgresql://u@127.0.0.1:9/q"
    given = [str(tmp_path / "ends") if each == "ends" else each for each in options]
    result = crawling.scrapy("archive", "alice", "bob", "--queue", *given)
    assert result.code == 2
    assert len(result.lines) == 1, result.output
    assert why in result.output
    assert not (tmp_path / "ends").exists()


def test_who_did_not_come_to_an_end_is_given_again() -> None:
    ends = [("done", 0), ("done", 0), ("done", 8), ("failed", 2)]
    users = [UserInQueue("a", "a", state, exit_code=code) for state, code in ends]
    assert counted_in_queue(users) == "4 users: 2 done, 1 done (8), 1 failed (2)"
    cancelled = UserInQueue("b", "b", "cancelled")
    assert counted_in_queue([cancelled]) == "1 user: 1 cancelled; run the same command again"


def test_it_says_once_that_the_queue_is_away_and_once_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = UserInQueue(username="alice", collection="a", state="done")
    answers: list[Overview | None] = [None, None, Overview(), Overview({"a": done})]

    @contextmanager
    def connected(_dsn: Dsn) -> Iterator[None]:
        if answers[0] is None:
            del answers[0]
            raise QueueRefused("Connection refused")
        yield

    monkeypatch.setattr(waiting, "connected", connected)
    monkeypatch.setattr(waiting, "look", lambda *_: answers.pop(0))
    monkeypatch.setattr(waiting, "_LOOK", 0.0)
    said: list[str] = []
    dsn = read_dsn({"MAPILLARY_QUEUE": "postgresql://u:p@h/q"})
    assert waiting.wait_for(dsn, ["a"], 2.0, said.append, lambda _: None) == [done]
    assert said == ["Connection refused; waiting", "the queue goes on", "alice: done, 1 of 1"]
