"""Users archived and uploaded by one command, and what is said where an upload is not complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import IA_KEYS, Crawling, manifest
from tests.whole.test_unattended import command, variables

pytestmark = [pytest.mark.slow, pytest.mark.long]

USERS = [
    {"username": "alice", "images": 30, "days": 3.0},
    {"username": "bob", "images": 20, "days": 2.0},
    {"username": "carol", "images": 20, "days": 2.0},
]
UPLOAD = ("-a", "quality=256", "-a", "upload=1")
ROOM = ("-s", "TAR_MAX_BYTES=2MB")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=3) as running:
        yield running


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment |= {**IA_KEYS, "IA_RETRY_WAIT": "0.02", "HOME": str(tmp_path)}
    return crawling


def name_of(username: str, quality: str = "256") -> str:
    return f"mapillary-{username}-{quality}"


def assert_there(sandbox: Sandbox, *identifiers: str) -> None:
    """Assert that items are complete: with SHA256SUMS they are."""
    items = sandbox.archive()["items"]
    assert set(items) == set(identifiers)
    for item in items.values():
        names = {file["name"] for file in item["files"]}
        assert "SHA256SUMS" in names
        assert any(name.endswith(".tar") for name in names)


@pytest.mark.parametrize(
    "line",
    [("crawl", "user", "-a", "username=alice"), ("archive", "alice", "bob")],
    ids=lambda line: str(line[0]),
)
@pytest.mark.parametrize("given", [{}, {"IA_ACCESS_KEY_ID": "half"}], ids=["none", "half"])
def test_without_keys_nothing_is_asked(
    crawling: Crawling, sandbox: Sandbox, line: tuple[str, ...], given: dict[str, str]
) -> None:
    for key in IA_KEYS:
        del crawling.environment[key]
    crawling.environment |= given
    result = crawling.scrapy(*line, *UPLOAD)
    assert (result.code, len(result.lines)) == (2, 1), result.output
    assert "IA_SECRET_ACCESS_KEY" in result.output
    assert sandbox.counters()["requests"] == {}
    assert not crawling.store.exists()


def test_all_is_here_and_the_upload_is_not(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Said by all that says how a run ended; the same command goes on with the upload alone."""
    told = tmp_path / "told"
    ended = f"sh -c 'echo $MAPILLARY_OUTCOME $MAPILLARY_EXIT_CODE $MAPILLARY_SAVED > {told}'"
    crawling.environment["ON_END"] = ended
    sandbox.set_faults({"archive": {"refusal": "item"}})
    line = ("crawl", "user", "-a", "username=alice", *UPLOAD)
    result = crawling.scrapy(*line)
    assert result.code == 10, result.output
    assert "complete here, not all of it is on archive.org (" in result.lines[-1]
    assert "You lack sufficient privileges" in result.lines[-1]
    assert f"it is in {crawling.store / name_of('alice')}" in result.lines[-1]
    assert result.lines[-1].endswith(f"run the same command again: scrapy {' '.join(line)}")
    assert told.read_text() == "not_uploaded 10 30\n"
    progress = json.loads((crawling.store / name_of("alice") / ".crawl/progress.json").read_text())
    assert (progress["exit_code"], progress["finish_reason"]) == (10, "not_uploaded")
    waits: dict[str, Any] = json.loads(crawling.scrapy("status", "--json").output)["archive_org"]
    assert waits["waiting_bytes"] == waits["here_bytes"] > 0
    assert (waits["files"], waits["verified_at"]) == (0, None)

    several = crawling.scrapy("archive", "alice", "bob", *UPLOAD)
    assert several.code == 10, several.output
    assert several.lines[-1].startswith("2 users: 2 complete here (10)")

    sandbox.set_faults({"archive": {"refusal": ""}})
    listed = sandbox.counters()["endpoints"]["/images"]
    result = crawling.scrapy(*line)
    assert result.code == 0, result.output
    assert sandbox.counters()["endpoints"]["/images"] == listed
    assert_there(sandbox, name_of("alice"))
    before = sandbox.counters()["requests"]
    assert crawling.scrapy(*line).code == 0
    assert sandbox.counters()["requests"] == before


def test_the_next_begins_while_one_waits_for_archive_org(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path
) -> None:
    log = tmp_path / "ends.jsonl"
    sandbox.set_faults({"archive": {"task_seconds": 8.0}})
    names = ("alice", "bob", "carol")
    result = crawling.scrapy(
        "archive", *names, *UPLOAD, "-a", "remove=1", *ROOM, "--log-json", str(log), timeout=300
    )
    assert result.code == 0, result.output
    assert result.lines[-1] == "3 users: 3 complete"
    assert_there(sandbox, *map(name_of, names))
    ends = {end["username"]: end for end in manifest(log)}
    assert ends["bob"]["started_at"] < ends["alice"]["ended_at"]
    assert ends["carol"]["started_at"] >= ends["alice"]["ended_at"], "one waits beside one job"
    for end in ends.values():
        there = end["archive_org"]
        assert there["verified_at"]
        assert there["waiting_bytes"] == 0
        assert there["bytes"] > there["here_bytes"]
    assert not list(crawling.store.glob("*/*.tar"))
    assert crawling.scrapy("verify", *map(name_of, names)).code == 0

    before = sandbox.counters()["requests"]
    again = crawling.scrapy("archive", *names, *UPLOAD, "-a", "remove=1")
    assert (again.code, again.lines[-1]) == (0, "3 users: 3 archived before")
    assert sandbox.counters()["requests"] == before


def test_the_service_of_the_page_does_it_all(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its command in its environment, but for the places that are those of this test."""
    ends, names = tmp_path / "ends.jsonl", tmp_path / "names.txt"
    places = {
        "/etc/mapillary/names.txt": str(names),
        "/var/lib/mapillary/ends.jsonl": str(ends),
    }
    _, *words = [places.get(word, word) for word in command()]
    crawling.environment = {**variables(), **crawling.environment}
    names.write_text("alice\n")
    assert crawling.scrapy(*words).code == 0
    names.write_text("alice\nbob  # until 2019\n")  # edited between two runs
    result = crawling.scrapy(*words)
    assert result.code == 0, result.output
    assert result.lines[-1] == "2 users: 1 archived before, 1 complete"
    assert_there(sandbox, name_of("alice", "original"), name_of("bob", "original"))
    assert not list(crawling.store.glob("*/*.tar"))
    assert [end["username"] for end in manifest(ends)] == ["alice", "alice", "bob"]
