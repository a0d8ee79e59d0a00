"""`scrapy demo`: shows a collection, and removes nothing that is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crawling import PROJECT

pytestmark = pytest.mark.slow


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "SCRAPY_SETTINGS_MODULE": "mapillary_crawler.settings",
    }
    return subprocess.run(
        [sys.executable, "-m", "scrapy", "demo"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_it_shows_a_collection_and_makes_it_anew(tmp_path: Path) -> None:
    old = tmp_path / ".demo" / "mapillary-demo-1024" / "old"
    for _ in range(2):
        finished = demo(tmp_path)
        assert finished.returncode == 0, finished.stderr
        assert "  mapillary-demo-1024/SHA256SUMS  " in finished.stdout
        assert "made-by" not in finished.stdout
        assert finished.stdout.endswith("\n  scrapy browse .demo/mapillary-demo-1024\n\n")
        assert not old.exists()
        old.touch()


@pytest.mark.parametrize(
    "names",
    [
        ["photo.jpg"],
        ["mapillary-demo-1024/photo.jpg"],
        [".made-by-scrapy-demo", "mapillary-demo-1024/SHA256SUMS", "photo.jpg"],
    ],
)
def test_what_no_demo_has_made_stays(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        path = tmp_path / ".demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    before = everything(tmp_path)
    assert_refused(demo(tmp_path), "move it away first")
    assert everything(tmp_path) == before


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".demo").symlink_to("elsewhere")
    assert_refused(demo(tmp_path), "move it away first")
    assert everything(tmp_path) == {".demo", "elsewhere"}


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / ".demo").touch()
    assert_refused(demo(tmp_path), ".demo: File exists", code=1)


def assert_refused(finished: subprocess.CompletedProcess[str], said: str, code: int = 2) -> None:
    assert (finished.returncode, finished.stdout) == (code, "")
    assert len(finished.stderr.splitlines()) == 1
    assert said in finished.stderr
