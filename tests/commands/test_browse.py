"""`scrapy browse` as it is typed: its address, its ends, what it refuses, what it never writes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.archive.browse.serving import Browser
from tests.commands.in_process import NAME, Commands, made, tree
from tests.crawling import PROJECT


@pytest.fixture
def commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Commands:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Commands(tmp_path / "store", capfd, monkeypatch)


@contextmanager
def browse(tmp_path: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give the running command and its address."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    store = f"MAPILLARY_STORE={tmp_path / 'store'}"
    with subprocess.Popen(
        [sys.executable, "-m", "mapillary_crawler", "browse", *map(str, arguments), "-s", store],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            said = process.stdout.readline() + process.stdout.readline()
            found = re.search(r"^http://127\.0\.0\.1:\d+/\?token=[\w-]{22}$", said, re.MULTILINE)
            assert found, said + process.communicate()[1]
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_the_store_and_ctrl_c_ends_it_well(tmp_path: Path, number: int) -> None:
    folder = made(tmp_path / "store")
    before = tree(tmp_path / "store")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with browse(tmp_path, "--no-browser", "--port", port) as (process, address):
            assert f"127.0.0.1:{port}/" not in address
            browser = Browser(address)
            assert browser.ask("/api/collections", headers={"Cookie": ""}).status == 403
            assert browser.ask(f"/api/c/{NAME}").json["saved"] == 5
            assert browser.ask(f"/image/c/{NAME}/1").status == 404  # which is no image
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"port {port} is in use: this is port" in said
    assert "Traceback" not in said
    assert tree(tmp_path / "store") == before
    assert folder.exists()


@pytest.mark.slow
def test_a_disk_shows_all_its_collections(tmp_path: Path) -> None:
    """Also where one of them is damaged; what else is on the disk is none."""
    disk = tmp_path / "disk"
    made(disk)
    shutil.copytree(disk / NAME, disk / "mapillary-bob-2048")
    (disk / "mapillary-eve-256").mkdir()
    (disk / "photos").mkdir()
    with browse(tmp_path, disk, "--no-browser", "--port", 0) as (_, address):
        browser = Browser(address)
        found = {each["name"]: each for each in browser.ask("/api/collections").json["collections"]}
        assert found.keys() == {NAME, "mapillary-bob-2048", "mapillary-eve-256"}
        assert browser.ask("/api/c/mapillary-bob-2048").json["saved"] == 5
    with browse(tmp_path, disk, "-a", "quality=2048", "--no-browser") as (_, address):
        (one,) = Browser(address).ask("/api/collections").json["collections"]
        assert one["name"] == "mapillary-bob-2048"


def test_what_cannot_be_is_refused_in_a_line(commands: Commands, tmp_path: Path) -> None:
    assert commands.run("browse") == 8
    assert "no finished collection" in commands.err
    folder = made(commands.store)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for arguments, code, words in (
        (["a", "b"], 2, "one collection, or none for all"),
        (["nobody"], 2, "there is no collection 'nobody'"),
        (["--port", "70000"], 2, "--port 70000 cannot be"),
        (["--port", "-1"], 2, "--port -1 cannot be"),
        (["--to", folder / "x"], 2, "lies within the collection"),
        (["--to", commands.store], 2, "lies within the collection"),
        ([folder, "--to", folder.parent], 2, "lies within the collection"),
        (["--to", tmp_path / "file"], 2, "is no folder"),
        (["--to", ""], 2, "is no folder"),
        ([tmp_path / "empty"], 2, "neither a ledger nor metadata.jsonl.gz"),
        (["--quality"], 2, "unknown option"),
    ):
        assert commands.run("browse", *arguments) == code, words
        assert words in commands.err
        assert "Traceback" not in commands.err
        assert commands.err.count("\n") == 1
