"""The disk of a store that is not plugged in, or is pulled out, with real mounts."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.small_disk import formatted, mounted
from tests.crawling import Crawling, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

USERS = [
    {"username": "few", "images": 5},
    {"username": "bob", "images": 400, "days": 4.0},
]
#: Ends a file system at once, as pulling its disk out does (ext4: EXT4_IOC_SHUTDOWN, no flush).
_SHUTDOWN = 0x8004587D


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=5) as running:
        yield running


def crawl_few(crawling: Crawling, *options: str) -> tuple[int, str]:
    result = crawling.run(*options, username="few", quality="256", check_ia=0)
    assert "Traceback" not in result.output
    return result.code, result.output


def test_a_disk_that_is_not_plugged_in(sandbox: Sandbox, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    crawling = Crawling(disk / "store", sandbox)
    with mounted(disk, 20_000_000):
        assert crawl_few(crawling)[0] == 0
    assert list(disk.iterdir()) == []
    sandbox.reset()
    for command in (["crawl", "user", "-a", "username=few"], ["archive", "few", "bob"]):
        result = crawling.scrapy(*command, "-a", "quality=256")
        assert result.code == 2, result.output
        assert len(result.lines) == 1
        for part in (str(crawling.store), f"the disk at {disk},", "plug it in", "NEW_STORE=1"):
            assert part in result.output
    assert crawling.scrapy("status").code == 2
    assert list(disk.iterdir()) == []
    assert sandbox.counters()["requests"] == {}
    with mounted(tmp_path / "again", 20_000_000):
        crawling.environment["MAPILLARY_STORE"] = str(tmp_path / "again/store")
        code, output = crawl_few(crawling)
        assert code == 0
        assert "used before" not in output  # that one is not there
    crawling.environment["MAPILLARY_STORE"] = str(crawling.store)
    assert crawl_few(crawling, "-s", "NEW_STORE=1")[0] == 0
    assert (disk / "store/mapillary-few-256").is_dir()
    assert crawl_few(crawling)[0] == 0


def test_a_disk_that_cannot_be_written(sandbox: Sandbox, tmp_path: Path) -> None:
    with mounted(tmp_path / "fast", 20_000_000) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
        crawling = Crawling(tmp_path / "store", sandbox)
        crawling.environment["MAPILLARY_STAGING"] = str(disk.folder)
        code, output = crawl_few(crawling)
    assert code == 2
    assert "set MAPILLARY_STAGING" in output


@pytest.mark.parametrize("way", ["unmounted", "gone"])
def test_a_disk_that_is_pulled_out(sandbox: Sandbox, tmp_path: Path, way: str) -> None:
    sandbox.reset()
    sandbox.set_faults({"cdn": {"latency_ms": 200}})
    with formatted(tmp_path / "disk", 100_000_000) as disk:
        crawling = Crawling(disk / "store", sandbox)
        with crawling.started(username="bob", quality="256", check_ia=0) as process:
            wait_until(lambda: sandbox.counters()["requests"].get("cdn", 0) >= 100)
            if way == "gone":
                handle = os.open(disk, os.O_RDONLY)
                fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", 2))
                os.close(handle)
            else:
                subprocess.run(["umount", "--lazy", str(disk)], check=True)
            output, _ = process.communicate(timeout=60)
        if way == "unmounted":
            assert not list(disk.iterdir())  # nothing went to another disk
            subprocess.run(["mount", "-o", "loop", f"{disk}.image", str(disk)], check=True)
    lines = output.splitlines()
    assert "Traceback" not in output
    assert process.returncode == 1, output
    assert "listed 400 = saved " in lines[-1]
    errors = [line for line in lines if " ERROR: " in line]
    assert len(errors) == 1, output
    assert f"{disk}/store/.incomplete/mapillary-bob-256" in errors[0]
    assert "is its disk still there?" in errors[0]
