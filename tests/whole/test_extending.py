"""docs/extending.md: each of its examples is run as it stands there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, images

PAGE = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MODULES = {
    code.splitlines()[0].removeprefix("# "): code for kind, code in EXAMPLES if kind == "python"
}
COMMANDS = [line for kind, code in EXAMPLES if kind == "sh" for line in code.splitlines()]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    users = [{"username": name, "images": 20, "days": 2.0} for name in ("alice", "bob")]
    with Sandbox.running(users) as running:
        yield running


class Reader:
    """Somebody who has written the page's modules into a folder, and works there."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if "MAPILLARY" not in name},
            **sandbox.environment,
            "MIN_FREE_BYTES": "1000000",
            "PYTHONPATH": os.pathsep.join((str(folder), str(PROJECT))),
        }
        for name, code in MODULES.items():
            (folder / name).write_text(code)
        # A checkout of its own, as far as Scrapy can tell.
        (folder / "scrapy.cfg").write_text("[settings]\ndefault = mapillary_crawler.settings\n")

    def run(self, *command: str) -> list[str]:
        """Return the lines of what a command prints."""
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout.splitlines()

    def follow(self, part: str) -> list[str]:
        """Run the one command of the page that has `part` in it."""
        (line,) = (line for line in COMMANDS if part in line)
        program, *arguments = shlex.split(line)
        assert program == "scrapy"
        return self.run(*SCRAPY, *arguments)

    @property
    def archived(self) -> Path:
        return self.folder / "mapillary_data" / "mapillary-alice-256"


@pytest.fixture
def reader(tmp_path: Path, sandbox: Sandbox) -> Reader:
    return Reader(tmp_path, sandbox)


def test_no_example_is_left_out() -> None:
    assert set(MODULES) == {"inventory.py", "tell.py", "titles.py", "process.py", "runner.py"}
    assert len(COMMANDS) == 6
    assert {kind for kind, _ in EXAMPLES} == {"python", "sh"}


def test_a_command_at_the_end(reader: Reader) -> None:
    reader.follow("ON_END")
    assert (reader.folder / "ended.txt").read_text() == "mapillary-alice-256: finished, 20 images\n"


def test_a_pipeline(reader: Reader) -> None:
    reader.follow("inventory.AddOn")
    lines = (reader.folder / "inventory.txt").read_text().splitlines()
    stored = images(reader.archived)
    assert sorted(lines) == sorted(
        f"{hashlib.sha256(body).hexdigest()}  {path}" for path, body in stored.items()
    )
    assert len(lines) == 20


def test_a_feed(reader: Reader) -> None:
    reader.follow("-o items.jsonl")
    text = (reader.folder / "items.jsonl").read_text()
    assert {json.loads(line)["path"] for line in text.splitlines()} == set(images(reader.archived))
    assert "http" not in text


def test_a_signal(reader: Reader) -> None:
    assert reader.follow("tell.AddOn") == ["mapillary-alice-256 True 20 finished 0"]


@pytest.mark.parametrize("by", ["runspider", "crawl titles"])
def test_another_spider(by: str, reader: Reader) -> None:
    reader.follow(by)
    assert (reader.folder / "titles.jsonl").read_text() == '{"title": "A PAGE"}\n'


def test_a_process(reader: Reader) -> None:
    balance = "finished listed 20 = saved 20 + gone 0 + unavailable 0 + failed 0"
    script = (sys.executable, "process.py")
    assert reader.run(*script) == [f"mapillary-{name}-256 {balance}" for name in ("alice", "bob")]
    again = reader.run(*script)
    assert [line.rpartition(" ")[2] for line in again] == ["0", "0"]
    assert again[0].startswith("mapillary-alice-256 is archived since")


def test_a_runner(reader: Reader) -> None:
    assert reader.run(sys.executable, "runner.py") == [
        "alice finished", "alice already_archived", "bob finished",
    ]  # fmt: skip
