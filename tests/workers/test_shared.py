"""MAPILLARY_SHARED is the same folder on all machines, and never where work is done."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.workers import schema
from mapillary_crawler.workers.database import connected
from mapillary_crawler.workers.dsn import read_dsn
from mapillary_crawler.workers.shared import ensure_same, is_anywhere, read_shared
from tests.crawling import Crawling


def test_it_is_a_folder_apart_from_the_work(tmp_path: Path) -> None:
    staging = tmp_path / "own"
    assert read_shared({}, staging) is None
    assert read_shared({"MAPILLARY_SHARED": str(tmp_path)}, Path("/own")) == tmp_path
    with pytest.raises(ArgumentRefused, match="is it mounted"):
        read_shared({"MAPILLARY_SHARED": str(tmp_path / "absent")}, staging)
    with pytest.raises(ArgumentRefused, match="own disk"):
        read_shared({"MAPILLARY_SHARED": str(tmp_path)}, staging)


@pytest.mark.parametrize("name", ["MAPILLARY_SHARED", "MAPILLARY_QUEUE"])
def test_it_is_of_the_environment_alone(tmp_path: Path, name: str) -> None:
    result = Crawling(tmp_path / "store").scrapy("worker", "-s", f"{name}=s3cret")
    assert (result.code, len(result.lines)) == (2, 1), result.output
    assert f"-s {name} is not read: set {name} in the environment" in result.output
    assert "s3cret" not in result.output


@pytest.fixture
def queue(queue_address: str) -> Iterator[psycopg.Connection]:
    with connected(read_dsn({"MAPILLARY_QUEUE": queue_address})) as connection:
        schema.init(connection)
        yield connection


@pytest.mark.long
def test_another_folder_is_found_out(queue: psycopg.Connection, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    assert not is_anywhere(queue)
    ensure_same(queue, one)
    ensure_same(queue, one)
    assert is_anywhere(queue)
    (same,) = one.iterdir()
    other.mkdir()
    with pytest.raises(ArgumentRefused, match="not the folder that the other machines"):
        ensure_same(queue, other)
    assert list(other.iterdir()) == []
    (other / same.name).write_text("0" * 32)
    with pytest.raises(ArgumentRefused, match="not the folder that the other machines"):
        ensure_same(queue, other)
    (other / same.name).write_text("something else\n" * 100)
    with pytest.raises(ArgumentRefused, match="is no file of the queue"):
        ensure_same(queue, other)
    shutil.copy(same, other)  # another mount of the same folder
    ensure_same(queue, other)


@pytest.mark.long
def test_a_file_system_without_links_is_one_as_well(
    queue: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    ensure_same(queue, tmp_path)
    (file,) = tmp_path.iterdir()
    token = file.read_text()
    queue.execute("DELETE FROM shared")
    ensure_same(queue, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == [token]


@pytest.mark.long
def test_a_queue_made_anew_takes_the_folder_that_is_there(
    queue: psycopg.Connection, tmp_path: Path
) -> None:
    ensure_same(queue, tmp_path)
    (file,) = tmp_path.iterdir()
    token = file.read_text()
    queue.execute("DELETE FROM shared")
    ensure_same(queue, tmp_path)
    assert file.read_text() == token
    assert queue.execute("SELECT token FROM shared").fetchone() == (token,)
