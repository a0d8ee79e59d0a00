"""`scrapy verify` through the real command line, on collections that were crawled."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, wait_until
from tests.pseudo_terminal import on_terminal

pytestmark = pytest.mark.slow


def test_crawled_collection(crawling: Crawling, tmp_path: Path) -> None:
    assert crawling.run(username="alice", quality="256", webp=1).code == 0
    folder = crawling.store / "mapillary-alice-256-webp"
    for depth in ("--full", "--fast"):
        result = crawling.scrapy("verify", folder.name, depth)
        assert result.code == 0, result.output
        assert "all is well: listed 60 = saved 58 + gone 2" in result.output
    downloaded = shutil.copytree(folder, tmp_path / "downloaded")
    shutil.rmtree(downloaded / ".crawl")
    result = crawling.scrapy("verify", str(downloaded))
    assert result.code == 0, result.output
    assert "downloaded: all is well: listed 60 = saved 58 + gone 2" in result.output

    tar = min(downloaded.glob("*.tar"))
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 16
    tar.write_bytes(content)
    (downloaded / "notes.txt").touch()
    result = crawling.scrapy("verify", str(downloaded), str(folder))
    assert result.code == 1
    assert f"downloaded/{tar.name}: changed" in result.output
    assert "downloaded/notes.txt: extra" in result.output
    assert "mapillary-alice-256-webp: all is well" in result.output
    assert not list(tmp_path.rglob("*.webp"))  # no member was extracted


def test_unfinished_and_foreign(crawling: Crawling, sandbox: Sandbox, tmp_path: Path) -> None:
    broken = [image.image_id for image in sandbox.catalogue.user("bob").images()][:1]
    sandbox.set_faults({"cdn": {"truncated": broken}})
    crawling.environment["IMAGE_ATTEMPTS"] = "1"
    assert crawling.run(username="bob", quality="256").code == 3
    result = crawling.scrapy("verify", "mapillary-bob-256")
    assert result.code == 3
    assert (
        "nothing is wrong with what is there, but the collection is not finished" in result.output
    )
    image = next((crawling.store / ".incomplete" / "mapillary-bob-256").rglob("*.jpg"))
    image.write_bytes(b"x" * image.stat().st_size)
    result = crawling.scrapy("verify", "mapillary-bob-256")
    assert result.code == 1
    assert image.name in result.output
    (tmp_path / "empty").mkdir()
    result = crawling.scrapy("verify", str(tmp_path / "empty"))
    assert result.code == 2
    assert "no collection of this program" in result.output
    assert len(result.lines) == 1


def test_bar_on_a_terminal_and_ctrl_c(crawling: Crawling) -> None:
    assert crawling.run(username="carol", quality="1024").code == 0
    command = [*SCRAPY, "verify", "mapillary-carol-1024"]
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        wait_until(lambda: "verifying mapillary-carol-1024" in terminal.text)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 4
    left = terminal.raw.rpartition("\x1b[2K")[2]
    assert "scrapy verify: interrupted" in left
    assert "verifying" not in left
    assert "Traceback" not in terminal.text
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        assert terminal.wait() == 0
    assert re.search(r"[0-9.]+/[0-9.]+ MB", terminal.text)
    assert "all is well" in terminal.raw.rpartition("\x1b[2K")[2]
