"""Runs the real command against a sandbox, and reads what it left."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapillary_crawler.collection.layout import EXTENSIONS, LEDGER_PATH
from mapillary_crawler.collection.names import capture_day, capture_time, member_path, sequence_part
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.sandbox.process import Sandbox

PROJECT = Path(__file__).parent.parent
#: Keys that the sandbox's archive.org takes.
IA_KEYS = {"IA_ACCESS_KEY_ID": "key", "IA_SECRET_ACCESS_KEY": "SECRET"}
#: What a crawl leaves that differs from run to run.
_OF_THE_RUN = ("download.log.", "__ia_thumb.jpg", ".crawl")
SCRAPY = [sys.executable, "-W", "error::DeprecationWarning:mapillary_crawler", "-m", "scrapy"]
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".demo", "mapillary_data", "__pycache__", ".*_cache", ".hypothesis",
    "build", "dist", "*.egg-info", "*.so", "results", ".coverage*",
)  # fmt: skip


def copy_project(folder: Path) -> None:
    """Copy the project as a clone has it: without what is made of it."""
    shutil.copytree(PROJECT, folder, ignore=_LEFT_OUT)


@dataclass
class Result:
    """What a command printed and how it ended."""

    code: int
    output: str

    @property
    def lines(self) -> list[str]:
        return self.output.strip().splitlines()

    @property
    def balance(self) -> dict[str, int]:
        """The numbers of the last line."""
        found = re.search(
            r"listed (\d+) = saved (\d+) \+ gone (\d+) \+ unavailable (\d+) \+ failed (\d+)"
            r"(?: \+ left (\d+))?",
            self.lines[-1],
        )
        assert found, self.output
        names = ("listed", "saved", "gone", "unavailable", "failed", "left")
        counts = zip(names, found.groups(), strict=True)
        return {name: int(count) for name, count in counts if count is not None}


class Crawling:
    """A store, and the command pointed at a sandbox and at that store."""

    def __init__(self, store: Path, sandbox: Sandbox | None = None) -> None:
        self.store = store
        #: What starts the program.
        self.command_line = SCRAPY
        self.environment = {
            **{name: value for name, value in os.environ.items() if "MAPILLARY" not in name},
            **(sandbox.environment if sandbox else {}),
            "MAPILLARY_STORE": str(store),
            "MIN_FREE_BYTES": "1000000",
            "PYTHONUNBUFFERED": "1",
            "XDG_STATE_HOME": str(_state_of(store)),
        }

    def command(self, *options: str, **arguments: Any) -> list[str]:
        """Return the command line of a crawl."""
        given = [f"-a{name}={value}" for name, value in arguments.items()]
        return [*SCRAPY, "crawl", "user", *given, *options]

    def run(self, *options: str, timeout: float = 120, **arguments: Any) -> Result:
        """Crawl to the end."""
        return self.scrapy(*self.command(*options, **arguments)[len(SCRAPY) :], timeout=timeout)

    def scrapy(self, *command: str, timeout: float = 120) -> Result:
        """Run any command of the project to its end."""
        with self._started([*self.command_line, *command]) as process:
            output, _ = process.communicate(timeout=timeout)
        return Result(process.returncode, output)

    def started(
        self, *options: str, **arguments: Any
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        """Start a crawl; it is killed when the context ends, if it has not ended."""
        return self._started(self.command(*options, **arguments))

    @contextmanager
    def _started(self, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Start a command; what it started dies with it, so that nobody waits for its output."""
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def _state_of(store: Path) -> Path:
    """Return a state folder of a store's own, which does not know those of other tests."""
    name = hashlib.sha256(bytes(store)).hexdigest()[:16]
    return Path(os.environ.get("XDG_STATE_HOME", tempfile.gettempdir()), name)


def wait_until(happened: Any, seconds: float = 60) -> None:
    """Wait until `happened()` is true; fail if it never becomes so."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def images(folder: Path) -> dict[str, bytes]:
    """Return a collection's images by member path, loose ones and those in tars."""
    found: dict[str, bytes] = {}
    for path in folder.glob("*/**/*"):
        if path.suffix[1:] in EXTENSIONS and not path.relative_to(folder).parts[0].startswith("."):
            found[str(path.relative_to(folder))] = path.read_bytes()
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                assert member.name not in found, f"{member.name} is there twice"
                content = tar.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def states(folder: Path) -> dict[str, State]:
    """Return what the ledger says has become of each image."""
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    try:
        return {record.image_id: record.state for record in streams.in_order(LedgerHere(ledger))}
    finally:
        ledger.close()


def manifest(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON lines file, compressed or not."""
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.splitlines()]


def compressed_data(jpeg: bytes) -> bytes:
    """Return what is no application or comment segment of a JPEG: tables, frames and scans."""
    assert jpeg[:2] == b"\xff\xd8"
    kept, place = bytearray(jpeg[:2]), 2
    while jpeg[place + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
        if not (0xE0 <= jpeg[place + 1] <= 0xEF or jpeg[place + 1] == 0xFE):
            kept += jpeg[place : place + length]
        place += length
    return bytes(kept + jpeg[place:])


def deterministic(folder: Path) -> dict[str, bytes]:
    """Return the files that are the same however a collection came to be."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(_OF_THE_RUN)
    }


def assert_same(collection: Path, wanted: Path) -> None:
    """Assert that two collections are the same, byte for byte."""
    found, files = deterministic(collection), deterministic(wanted)
    assert sorted(found) == sorted(files)
    assert any(name.endswith(".tar") for name in files)
    assert [name for name in files if found[name] != files[name]] == []


def assert_complete(
    folder: Path, sandbox: Sandbox, username: str, quality: str
) -> Mapping[str, Any]:
    """Assert that a JPEG collection holds exactly what the service has, byte for byte.

    Returns the sandbox's images by member path.
    """
    found = images(folder)
    wanted = {}
    for image in sandbox.catalogue.user(username).images():
        if image.image_id and not image.dead and image.has_url(quality) and not image.bad_url:
            row = image.metadata()
            day = capture_day(capture_time(row.get("captured_at")))
            path = member_path(day, sequence_part(row.get("sequence")), image.image_id, "jpg")
            wanted[path] = image
    assert sorted(found) == sorted(wanted)
    for path, image in wanted.items():
        served = sandbox.catalogue.body(image, quality)
        assert compressed_data(found[path]) == compressed_data(served), path
    return wanted
