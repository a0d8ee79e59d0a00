"""A disk that gets full: exit 6, nothing corrupt, and on it goes once there is space."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import is_disk_full
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set
from tests.chaos.small_disk import fill, formatted, mounted
from tests.crawling import Crawling, Result, wait_until

pytestmark = pytest.mark.long

NAME = "mapillary-grace-1024"
ARGUMENTS: dict[str, Any] = {"username": "grace", "quality": "1024", "check_ia": 0}
LARGEST_TAR = 2_000_000
OPTIONS = ("-s", f"TAR_MAX_BYTES={LARGEST_TAR}", "-s", "MIN_FREE_BYTES=0")
#: What SQLite's write-ahead log grows to before it is written anew.
LEDGER_GROWS = 4_500_000
LARGE = 200_000_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "grace", "images": 150, "days": 4.0}], seed=19) as running:
        yield running


@pytest.fixture(scope="module")
def whole(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the deterministic set of an undisturbed crawl."""
    crawling = Crawling(tmp_path_factory.mktemp("undisturbed") / "store", sandbox)
    result = crawling.run(*OPTIONS, **ARGUMENTS)
    assert result.code == 0, result.output
    return deterministic_set(crawling.store / NAME)


def assert_full(result: Result) -> None:
    assert result.code == 6, result.output
    assert "Traceback" not in result.output
    said = [line.lower() for line in result.lines if "ERROR" in line or "scrapy" in line]
    assert said, result.output
    assert any("full" in line or "no space" in line or "needed" in line for line in said), said


def assert_sound(folder: Path) -> None:
    """Assert that the ledger is whole and that what it has as saved lies there."""
    if not (folder / LEDGER_PATH).exists():
        return
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        for image in streams.in_order(LedgerHere(ledger)):
            if image.sha256_stored and image.tar is None:
                stored = (folder / image.member).read_bytes()
                assert hashlib.sha256(stored).digest() == image.sha256_stored
    assert not list((folder / ".crawl").glob("finishing/*"))


#: Bytes at which the disk is full when a run begins, lists, has listed, and fetches.
@pytest.mark.parametrize("size", [40_000, 200_000, 400_000, 2_500_000, 9_000_000])
def test_staging_is_full(
    sandbox: Sandbox, whole: dict[str, bytes], tmp_path: Path, size: int
) -> None:
    with mounted(tmp_path / "disk", size) as disk:
        crawling = Crawling(tmp_path / "store", sandbox)
        crawling.environment["MAPILLARY_STAGING"] = str(disk.folder / "staging")
        full = crawling.run(*OPTIONS, **ARGUMENTS)
        assert_full(full)
        if size == 9_000_000:
            assert "The whole, as far as it is listed, needs about " in full.lines[-2]
            assert f" free at {disk.folder / 'staging'}" in full.lines[-2]
        assert_sound(disk.folder / "staging" / NAME)
        disk.resize(LARGE)
        result = crawling.run(*OPTIONS, **ARGUMENTS)
        assert result.code == 0, result.output
        assert deterministic_set(crawling.store / NAME) == whole
        assert list(disk.folder.iterdir()) == []


#: Not enough for a page of SQLite's log, for its shared memory, for a batch.
@pytest.mark.parametrize("left", [0, 8 << 10, 16 << 10, 60_000])
def test_a_collection_on_a_disk_that_is_almost_full(
    sandbox: Sandbox, whole: dict[str, bytes], tmp_path: Path, left: int
) -> None:
    with formatted(tmp_path / "disk", 64_000_000) as disk:
        crawling = Crawling(tmp_path / "store", sandbox)
        crawling.environment["MAPILLARY_STAGING"] = str(disk / "staging")
        fetched = crawling.run(*OPTIONS, "-s", "CLOSESPIDER_ITEMCOUNT=20", **ARGUMENTS)
        assert fetched.code == 4, fetched.output
        fill(disk, left)
        full = crawling.run(*OPTIONS, **ARGUMENTS)
        assert_full(full)
        assert "away" not in full.output
        for command in (["status"], ["verify", NAME]):
            result = crawling.scrapy(*command)
            assert result.code in (0, 3), result.output
            assert "cannot be read" not in result.output
        (disk / "filling").unlink()
        result = crawling.run(*OPTIONS, **ARGUMENTS)
        assert result.code == 0, result.output
        assert deterministic_set(crawling.store / NAME) == whole


def test_what_a_kill_left_is_read_on_a_disk_that_is_full(sandbox: Sandbox, tmp_path: Path) -> None:
    with formatted(tmp_path / "disk", 64_000_000) as disk:
        crawling = Crawling(tmp_path / "store", sandbox)
        crawling.environment["MAPILLARY_STAGING"] = str(disk / "staging")
        state = disk / "staging" / NAME / LEDGER_PATH.parent
        with crawling.started(*OPTIONS, **ARGUMENTS) as process:
            wait_until(lambda: any((disk / "staging" / NAME).rglob("*.jpg")))
            process.kill()
        assert (state / "ledger.sqlite-wal").exists()
        (state / "ledger.sqlite-shm").unlink()
        fill(disk, 0)
        for command in (["status"], ["verify", NAME]):
            result = crawling.scrapy(*command)
            assert result.code in (0, 3), result.output
            assert "cannot be read" not in result.output
        full = crawling.run(*OPTIONS, **ARGUMENTS)
        assert_full(full)
        assert "away" not in full.output


def test_finishing_needs_a_part_and_the_manifests(
    sandbox: Sandbox, whole: dict[str, bytes], tmp_path: Path
) -> None:
    assert sum(map(len, whole.values())) > 2 * (LARGEST_TAR + LEDGER_GROWS)
    with mounted(tmp_path / "disk", LARGE) as disk:
        crawling = Crawling(disk.folder / "store", sandbox)
        fetched = crawling.run(*OPTIONS, "-s", "CLOSESPIDER_ITEMCOUNT=150", **ARGUMENTS)
        assert fetched.code == 4, fetched.output
        assert fetched.balance["saved"] == 150

        disk.resize(disk.used + LARGEST_TAR // 4)
        assert_full(crawling.run(*OPTIONS, **ARGUMENTS))
        assert_sound(crawling.store / ".incomplete" / NAME)

        manifests = sum(len(body) for name, body in whole.items() if not name.endswith(".tar"))
        disk.resize(disk.used + LARGEST_TAR + manifests + LEDGER_GROWS)
        result = crawling.run(*OPTIONS, **ARGUMENTS)
        assert result.code == 0, result.output
        assert deterministic_set(crawling.store / NAME) == whole


def test_the_store_is_full(sandbox: Sandbox, whole: dict[str, bytes], tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 5_000_000) as disk:
        crawling = Crawling(disk.folder / "store", sandbox)
        crawling.environment["MAPILLARY_STAGING"] = str(tmp_path / "staging")
        full = crawling.run(*OPTIONS, **ARGUMENTS)
        assert_full(full)
        assert "bytes are needed" in full.output
        assert not crawling.store.exists()
        assert_sound(tmp_path / "staging" / NAME)
        disk.resize(LARGE)
        result = crawling.run(*OPTIONS, **ARGUMENTS)
        assert result.code == 0, result.output
        assert deterministic_set(crawling.store / NAME) == whole
        assert not (tmp_path / "staging").exists()


#: Runs in each process of a crawl: the disk is full from the nth image on.
FAKE = """
import errno
import os

left = int(os.environ["IMAGES_UNTIL_FULL"])
open_file = os.open

def open_until_full(path, flags, *args, dir_fd=None, **more):
    global left
    if dir_fd is not None and flags & os.O_CREAT and str(path).isdigit():
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
    return open_file(path, flags, *args, dir_fd=dir_fd, **more)

os.open = open_until_full
"""


def test_a_disk_that_says_so_in_mid_batch(
    sandbox: Sandbox, whole: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "sitecustomize.py").write_text(FAKE)
    crawling = Crawling(tmp_path / "store", sandbox)
    ordinary = dict(crawling.environment)
    crawling.environment |= {"PYTHONPATH": str(tmp_path / "fake"), "IMAGES_UNTIL_FULL": "77"}
    full = crawling.run(*OPTIONS, **ARGUMENTS)
    assert_full(full)
    assert 0 < full.balance["saved"] <= 77
    assert_sound(crawling.store / ".incomplete" / NAME)
    crawling.environment = ordinary
    result = crawling.run(*OPTIONS, **ARGUMENTS)
    assert result.code == 0, result.output
    assert deterministic_set(crawling.store / NAME) == whole


def test_a_full_disk_is_told_though_sqlite_has_ended_the_transaction(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        database.execute("PRAGMA max_page_count = 60")
        with pytest.raises(sqlite3.OperationalError) as trouble:
            fill_up(database)
        assert is_disk_full(trouble.value)
        with database.transaction():
            database.execute("INSERT INTO facts VALUES ('a', '1')")


def fill_up(database: Database) -> None:
    with database.transaction():
        for _ in range(100):
            database.execute("INSERT INTO pages (rows) VALUES (zeroblob(10000))")


def test_a_plan_says_that_it_does_not_fit(sandbox: Sandbox, tmp_path: Path) -> None:
    command = ("plan", "grace", "-a", "quality=1024", "-a", "check_ia=0", *OPTIONS)
    with mounted(tmp_path / "disk", 12_000_000) as disk:
        crawling = Crawling(disk.folder / "store", sandbox)
        said = crawling.scrapy(*command)
        told = crawling.scrapy(*command, "--json", "--nolog")
        full = crawling.run(*OPTIONS, **ARGUMENTS)
    assert said.code == told.code == 0, said.output
    assert re.search(r"disk .* free: it does not fit, [\d.]+ MB are missing", said.output)
    assert json.loads(told.lines[-1])["fits"] is False
    assert_full(full)
    needed = r"The whole, as far as it is listed, needs about [\d.]+ MB more; .* are free at "
    assert re.search(needed, full.output)
