"""Where collections go: said as an absolute path, and remembered as a help, not as a record."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, Result

pytestmark = pytest.mark.long

ARGUMENTS = ("crawl", "user", "-a", "username=few", "-a", "quality=256", "-a", "check_ia=0")
NAME = "mapillary-few-256"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "few", "images": 5}], seed=5) as running:
        yield running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    """Return the command with a state folder of its own, and no store in its environment."""
    crawling = Crawling(tmp_path / "store", sandbox)
    del crawling.environment["MAPILLARY_STORE"]
    crawling.environment |= {
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(PROJECT),
        "SCRAPY_SETTINGS_MODULE": "mapillary_crawler.settings",
    }
    return crawling


def crawl(crawling: Crawling, folder: Path, *options: str) -> Result:
    """Crawl, typed in a folder."""
    done = subprocess.run(
        [*SCRAPY, *ARGUMENTS, *options], cwd=folder, env=crawling.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout)


def test_the_store_is_said_as_it_is_and_the_one_before_named(
    crawling: Crawling, tmp_path: Path
) -> None:
    first = crawl(crawling, tmp_path)
    assert first.code == 0, first.output
    assert first.lines[0] == f"Archiving few to {tmp_path}/mapillary_data/{NAME}"
    assert "used before" not in first.output
    second = crawl(crawling, tmp_path, "-s", "MAPILLARY_STORE=~/archive")
    assert second.code == 0, second.output
    assert second.lines[:2] == [
        f"Archiving few to {tmp_path}/home/archive/{NAME}",
        f"This store is new; used before: {tmp_path}/mapillary_data",
    ]
    refused = crawl(crawling, tmp_path, "-s", "MAPILLARY_STORE=$HOME/archive")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "'$HOME/archive' has a variable" in refused.output
    assert not (tmp_path / "$HOME").exists()


def test_what_was_removed_is_made_again(crawling: Crawling, tmp_path: Path) -> None:
    for _ in range(2):
        assert crawl(crawling, tmp_path).code == 0
        shutil.rmtree(tmp_path / "mapillary_data")
    (tmp_path / "mapillary_data").mkdir()
    assert crawl(crawling, tmp_path).code == 0


def test_no_memory_is_no_error(crawling: Crawling, tmp_path: Path) -> None:
    """A home that takes nothing, and none at all, as under `env -i`."""
    crawling.environment |= {"HOME": "/proc/none", "XDG_STATE_HOME": "/proc/none"}
    assert crawl(crawling, tmp_path, "-s", "MAPILLARY_STORE=one").code == 0
    needed = ("PATH", "PYTHONPATH", "SCRAPY_SETTINGS_MODULE", "HOME", "MAPILLARY_TOKEN")
    crawling.environment = {
        name: value
        for name, value in crawling.environment.items()
        if name in needed or name.endswith("_URL")
    }
    again = crawl(crawling, tmp_path, "-s", "MAPILLARY_STORE=two", "-s", "MIN_FREE_BYTES=0")
    assert again.code == 0, again.output
    assert "used before" not in again.output
