"""`crawl user -a update=1`: a finished collection is brought up to date in its place."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import ARRIVING, JOURNAL, LEDGER_PATH
from mapillary_crawler.ledger.schema import VERSION
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set, manifest
from tests.crawling import IA_KEYS, Crawling, Result, assert_complete, images

NAME = "mapillary-alice-256"
WANTED = {"username": "alice", "quality": "256"}
USER = {"username": "alice", "images": 300, "days": 4.0, "late": 90}
#: The same, large enough for kills and times to matter.
LARGE = {"username": "alice", "images": 3000, "days": 20.0, "late": 900}


def service(user: dict[str, Any]) -> Iterator[Sandbox]:
    with Sandbox.running([user], seed=7) as running:
        yield running


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    yield from service(USER)


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    return Crawling(tmp_path / "store", sandbox)


@pytest.fixture
def folder(crawling: Crawling) -> Path:
    return crawling.store / NAME


def change(sandbox: Sandbox, vanished: int) -> list[str]:
    """Let the late images appear, and some of the others vanish; return which."""
    ids = [image.image_id for image in sandbox.catalogue.user("alice").images()][:vanished]
    sandbox.reset()
    sandbox.set_faults({"api": {"vanish": ids, "appear_after": 0}})
    return ids


def late(sandbox: Sandbox) -> list[str]:
    """Return the images that appear."""
    user = sandbox.catalogue.user("alice")
    before = {image.image_id for image in user.images()}
    return [image.image_id for image in user.images(late=True) if image.image_id not in before]


def times(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_ino)
        for path in [folder, *folder.rglob("*")]
        if path.name not in (".crawl", "updated.json")
    }


def sums(folder: Path) -> int:
    """Return what `sha256sum -c` says."""
    command = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, check=False).returncode


def update_line(result: Result) -> str:
    return result.lines[-1].partition("update: ")[2].partition(";")[0]


def crawl_and_update(sandbox: Sandbox, crawling: Crawling, user: dict[str, Any]) -> None:
    """Crawl, update, and update again: what the issue on updates wants."""
    folder, late = crawling.store / NAME, user["late"]
    first = crawling.run(**WANTED)
    assert first.code == 0, first.output
    before = deterministic_set(folder)
    vanished = change(sandbox, user["images"] // 100)

    second = crawling.run(update=1, **WANTED)
    assert second.code == 0, second.output
    assert second.lines[0] == f"Updating alice in {folder}"
    assert update_line(second) == (
        f"{late:,} new, 0 now available, {len(vanished)} no longer on Mapillary (kept)"
    )
    counters = sandbox.counters()
    assert counters["images"] == {"ids": late, "total": late, "max": 1, "repeated": 0}
    assert second.balance["saved"] == user["images"]
    after = deterministic_set(folder)
    tars = {name for name in before if name.endswith(".tar")}
    assert {name: after[name] for name in tars} == {name: before[name] for name in tars}
    assert sorted(row["id"] for row in manifest(folder, "vanished.jsonl")) == sorted(vanished)
    assert sums(folder) == 0
    verified = crawling.scrapy("verify", "--full", str(folder))
    assert verified.code == 0, verified.output
    assert "no longer on Mapillary" in verified.output

    inodes = times(folder)
    sandbox.reset()
    sandbox.set_faults({"api": {"vanish": vanished, "appear_after": 0}})
    third = crawling.run(update=1, **WANTED)
    assert third.code == 0, third.output
    assert update_line(third) == "0 new, 0 now available, 0 no longer on Mapillary (kept)"
    counters = sandbox.counters()
    assert counters["requests"].get("cdn", 0) == 0
    assert set(counters["endpoints"]) == {"/images"}
    assert times(folder) == inodes
    assert not list(crawling.store.glob(".incomplete/*"))


def test_crawl_update_and_update_again(sandbox, crawling):
    crawl_and_update(sandbox, crawling, USER)
    status = json.loads(crawling.scrapy("status", "--json").lines[-1])
    assert status["vanished"] == 3
    assert status["updated"]["new"] == 0
    assert "updated" in crawling.scrapy("status").lines[0]


@pytest.mark.long
@pytest.mark.long
def test_crawl_update_and_update_again_of_3000_images(tmp_path):
    for sandbox in service(LARGE):
        crawl_and_update(sandbox, Crawling(tmp_path / "store", sandbox), LARGE)


@pytest.mark.long
def test_without_a_collection_it_is_a_first_crawl(sandbox, crawling, folder):
    result = crawling.run(update=1, **WANTED)
    assert result.code == 0, result.output
    assert "first crawl" in result.lines[0]
    assert "update:" not in result.lines[-1]
    assert_complete(folder, sandbox, "alice", "256")


@pytest.mark.long
def test_images_that_stay_loose_are_updated_too(sandbox, crawling, folder):
    assert crawling.run(tar=0, **WANTED).code == 0
    before = times(folder)
    change(sandbox, 2)
    result = crawling.run(update=1, **WANTED)
    assert result.code == 0, result.output
    assert update_line(result) == "90 new, 0 now available, 2 no longer on Mapillary (kept)"
    after = times(folder)
    old = [path for path in before if path.endswith(".jpg") and path[0] != "_"]
    assert len(old) == 210
    assert [path for path in old if after[path] != before[path]] == []
    assert len(images(folder)) == 300
    assert sums(folder) == 0
    assert crawling.scrapy("verify", "--full", str(folder)).code == 0


def half_done(crawling: Crawling, folder: Path, sandbox: Sandbox) -> None:
    """Leave what a crash leaves between the parts and the manifests of an update."""
    assert crawling.run(**WANTED).code == 0
    old = crawling.store.parent / "old"
    shutil.copytree(folder, old)
    change(sandbox, 2)
    assert crawling.run(update=1, **WANTED).code == 0
    names = sorted(
        name for name, body in deterministic_set(folder).items()
        if not name.startswith(".") and not name.endswith(".tar")
        and deterministic_set(old).get(name) != body
    )  # fmt: skip
    assert names[0] == "SHA256SUMS"
    order = [*names[1:], "SHA256SUMS", str(LEDGER_PATH)]
    for name in order:
        arriving = folder / ARRIVING / name
        arriving.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(arriving)
        if (old / name).exists():
            shutil.copy2(old / name, folder / name)
    lines = [json.dumps({"put": name}) + "\n" for name in order]
    (folder / JOURNAL).write_text("".join(lines))


@pytest.mark.long
def test_what_is_half_done_is_said_by_readers_and_done_by_the_next_command(
    sandbox, crawling, folder
):
    half_done(crawling, folder, sandbox)
    before = times(folder)
    for command in (["verify", NAME], ["plan", "alice", "-a", "quality=256"]):
        result = crawling.scrapy(*command)
        assert result.code == 3, result.output
        assert len(result.lines) == 1
        assert "an update is half done; finish it with: scrapy crawl user" in result.output
    assert "update half done" in crawling.scrapy("status").output
    assert times(folder) == before
    sandbox.reset()

    result = crawling.run(**WANTED)
    assert result.code == 0, result.output
    assert "is archived since" in result.output
    assert sandbox.counters()["requests"] == {}
    assert not (folder / JOURNAL).exists()
    assert not (folder / ARRIVING).exists()
    assert sums(folder) == 0
    verified = crawling.scrapy("verify", "--full", str(folder))
    assert verified.code == 0, verified.output
    assert verified.output.count("saved 300") == 1


@pytest.mark.long
@pytest.mark.parametrize("command", ["archive", "ia_upload", "repair"])
def test_other_commands_end_what_is_half_done(sandbox, crawling, folder, command):
    half_done(crawling, folder, sandbox)
    sandbox.reset()
    if command == "archive":
        crawling.scrapy("archive", "alice", "-a", "quality=256")
    elif command == "ia_upload":
        crawling.scrapy("ia_upload", NAME, "--dry-run")
    else:
        result = crawling.scrapy("repair", NAME)
        assert result.code == 0, result.output
        assert "end the update" in result.lines[0]
    assert not (folder / JOURNAL).exists()
    assert sums(folder) == 0
    assert sandbox.counters()["requests"].get("api", 0) == 0


@pytest.mark.long
def test_a_part_of_another_size_is_named_and_nothing_is_done(sandbox, crawling, folder):
    assert crawling.run(**WANTED).code == 0
    tar = min(folder.glob("*.tar"))
    with tar.open("ab") as file:
        file.write(b"more")
    before = times(folder)
    change(sandbox, 2)
    result = crawling.run(update=1, **WANTED)
    assert result.code == 3, result.output
    assert f"{tar.name} (another size)" in result.lines[-1]
    assert f"repair {NAME}" in result.lines[-1]
    assert times(folder) == before
    assert sandbox.counters()["requests"] == {}


@pytest.mark.long
def test_an_older_ledger_is_migrated_and_a_newer_one_refused(sandbox, crawling, folder):
    assert crawling.run(**WANTED).code == 0
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        for table in ("vanished", "asked_again", "slices"):
            ledger.execute(f"DROP TABLE {table}")
        ledger.execute(f"PRAGMA user_version = {VERSION - 2}")
    change(sandbox, 2)
    assert "archived" in crawling.scrapy("status").output
    result = crawling.run(update=1, **WANTED)
    assert result.code == 0, result.output
    assert update_line(result) == "90 new, 0 now available, 2 no longer on Mapillary (kept)"
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        ledger.execute("PRAGMA user_version = 99")
    before = times(folder)
    result = crawling.run(update=1, **WANTED)
    assert result.code == 2, result.output
    assert times(folder) == before


@pytest.mark.long
def test_an_update_goes_on_where_it_was_stopped(sandbox, crawling, folder):
    assert crawling.run(**WANTED).code == 0
    before = deterministic_set(folder)
    change(sandbox, 2)
    sandbox.set_faults({"cdn": {"truncated": late(sandbox)[:3]}})
    stopped = crawling.run("-s", "IMAGE_ATTEMPTS=1", update=1, **WANTED)
    assert stopped.code == 3, stopped.output
    assert "update=1" in stopped.lines[-1]
    assert deterministic_set(folder) == before
    plain = crawling.run(**WANTED)
    assert plain.code == 0
    assert "is archived since" in plain.output
    sandbox.set_faults({"cdn": {"truncated": 0.0}})
    assert update_line(crawling.run(update=1, **WANTED)) == (
        "90 new, 0 now available, 2 no longer on Mapillary (kept)"
    )
    assert sums(folder) == 0


@pytest.mark.long
def test_an_update_whose_collection_is_away_is_refused(sandbox, crawling, folder):
    assert crawling.run(**WANTED).code == 0
    change(sandbox, 2)
    sandbox.set_faults({"cdn": {"truncated": late(sandbox)[:3]}})
    assert crawling.run("-s", "IMAGE_ATTEMPTS=1", update=1, **WANTED).code == 3
    folder.rename(folder.with_name("elsewhere"))
    for update in (0, 1):
        result = crawling.run(update=update, **WANTED)
        assert result.code == 2, result.output
        assert "put it back" in result.lines[-1]
    assert crawling.run(update="yes", **WANTED).code == 2


@pytest.mark.long
def test_archive_updates_several_users(sandbox, crawling, folder):
    assert crawling.run(**WANTED).code == 0
    change(sandbox, 2)
    result = crawling.scrapy("archive", "alice", "-a", "quality=256", "-a", "update=1")
    assert result.code == 0, result.output
    assert len(manifest(folder, "checksums.jsonl.gz")) == 300


@pytest.mark.long
@pytest.mark.parametrize("remove", [0, 1])
def test_what_is_new_follows_to_archive_org(tmp_path, remove):
    uploads = tmp_path / "uploads"
    with Sandbox.running([USER], seed=7, uploads=uploads) as sandbox:
        crawling = Crawling(tmp_path / "store", sandbox)
        crawling.environment |= {
            "HOME": str(tmp_path), **IA_KEYS,
            "IA_RETRY_WAIT": "0.02", "IA_PATIENCE": "60",
        }  # fmt: skip
        folder, wanted = crawling.store / NAME, {**WANTED, "upload": 1, "remove": remove}
        first = crawling.run(**wanted)
        assert first.code == 0, first.output
        before = {path.name: path.read_bytes() for path in (uploads / NAME).glob("*.tar")}
        assert bool(list(folder.glob("*.tar"))) is not bool(remove)
        asked = sandbox.counters()["images"]["total"]
        vanished = [image.image_id for image in sandbox.catalogue.user("alice").images()][:3]
        sandbox.set_faults({"api": {"vanish": vanished, "appear_after": 0}})

        second = crawling.run(update=1, **wanted)
        assert second.code == 0, second.output
        assert update_line(second) == "90 new, 0 now available, 3 no longer on Mapillary (kept)"
        assert sandbox.counters()["images"]["total"] == asked + 90
        there = uploads / NAME
        assert {name: (there / name).read_bytes() for name in before} == before
        assert len(images(there)) == 300
        for name in ("SHA256SUMS", "metadata.jsonl.gz", "checksums.jsonl.gz", "vanished.jsonl"):
            assert (there / name).read_bytes() == (folder / name).read_bytes()
        assert sums(there) == 0
        sent = sandbox.archive()["accepted"]
        assert {sent[f"/{NAME}/{name}"] for name in before} == {1}
        description = sandbox.archive()["items"][NAME]["metadata"]["description"]
        assert "Contains 300 images" in description
        assert f"{len(vanished)} of them are no longer on Mapillary" in description
        assert bool(list(folder.glob("*.tar"))) is not bool(remove)
        verified = crawling.scrapy("verify", "--full", str(folder))
        assert verified.code == 0, verified.output

        inodes = times(folder)
        third = crawling.run(update=1, **wanted)
        assert third.code == 0, third.output
        assert times(folder) == inodes
