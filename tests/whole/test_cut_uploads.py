"""A user of several processes whose tars go to archive.org: the item of one process."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.reading import read_slices
from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import IA_KEYS, Crawling, Result, assert_same
from tests.erin import ERIN, NAME

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.xdist_group("cut_uploads")]

USER = {**ERIN, "images": 300}
#: Some six slices; a large day has several tars.
OPTIONS = (
    "-aquality=256", "-acheck_ia=0", "-aupload=1", "-sSLICE_IMAGES=60", "-sTAR_MAX_BYTES=250kB",
    "-sIN_FLIGHT_BYTES=200kB",
)  # fmt: skip
REMOVE = "-aremove=1"
#: What archive.org does on a bad day.
WEATHER = {"slow_down": 0.1, "reset": 0.05, "lost": 0.02, "latency_ms": 10, "task_seconds": 0.1}


@dataclass
class Service:
    """A sandbox, and what lies on its archive.org."""

    sandbox: Sandbox
    uploads: Path

    def crawling(self, store: Path) -> Crawling:
        crawling = Crawling(store, self.sandbox)
        crawling.environment |= {
            **IA_KEYS, "HOME": str(store.parent), "IA_RETRY_WAIT": "0.02", "IA_PATIENCE": "60",
        }  # fmt: skip
        return crawling

    def files(self) -> dict[str, bytes]:
        """Return the item's files, but for the logs of runs."""
        paths = (self.uploads / NAME).iterdir()
        return {path.name: path.read_bytes() for path in paths if "download.log" not in path.name}

    def metadata(self) -> dict[str, Any]:
        metadata = dict(self.sandbox.archive()["items"][NAME]["metadata"])
        return {name: value for name, value in metadata.items() if "date" not in name}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    uploads = tmp_path_factory.mktemp("uploads")
    with Sandbox.running([USER], seed=5, uploads=uploads) as running:
        yield Service(running, uploads)


@dataclass
class Wanted:
    """What one process makes."""

    collection: Path
    files: dict[str, bytes]
    metadata: dict[str, Any]


@pytest.fixture(scope="module")
def wanted(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Wanted:
    store = tmp_path_factory.mktemp("one") / "store"
    result = service.crawling(store).scrapy("archive", "erin", *OPTIONS)
    assert result.code == 0, result.output
    return Wanted(store / NAME, service.files(), service.metadata())


@pytest.fixture(autouse=True)
def _well(service: Service, wanted: Wanted) -> Iterator[None]:
    well = service.sandbox.faults()
    service.sandbox.reset()
    yield
    service.sandbox.set_faults(well)


def archive(crawling: Crawling, *options: str, jobs: int = 3) -> Result:
    return crawling.scrapy("archive", "erin", f"--jobs={jobs}", *OPTIONS, *options, timeout=300)


def assert_there(service: Service, folder: Path, wanted: Wanted, *, removed: bool) -> None:
    """Assert that item and collection are those of one process, tars `removed` here or not."""
    files = service.files()
    assert files.keys() == wanted.files.keys()
    other = {name for name in files if files[name] != wanted.files[name]}
    # Where the first tar is gone, it is made of a sample.
    assert other <= ({"__ia_thumb.jpg"} if removed else set())
    assert service.metadata() == wanted.metadata
    if removed:
        assert not list(folder.glob("*.tar"))
        for path in wanted.collection.iterdir():
            of_run = path.name in {".crawl", "__ia_thumb.jpg"} or "download.log" in path.name
            if path.is_file() and path.suffix != ".tar" and not of_run:
                assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    else:
        assert_same(folder, wanted.collection)
    assert not list(folder.parent.glob(".incomplete/*#*"))


@pytest.mark.parametrize("removed", [False, True])
def test_the_item_and_the_collection_are_those_of_one_process(
    service: Service, tmp_path: Path, wanted: Wanted, *, removed: bool
) -> None:
    service.sandbox.set_faults({"archive": {"task_seconds": 0.3}, "cdn": {"latency_ms": 50}})
    crawling = service.crawling(tmp_path / "store")
    result = archive(crawling, *[REMOVE] * removed)
    assert result.code == 0, result.output
    assert "cut into" in result.output
    lines = result.output.splitlines()
    sent = next(place for place, line in enumerate(lines) if "uploaded 20" in line)
    assert any("[erin#" in line for line in lines[sent:]), "slices are crawled while tars are sent"
    assert_there(service, crawling.store / NAME, wanted, removed=removed)
    accepted = service.sandbox.archive()["accepted"]
    assert {
        name for name, times in accepted.items() if name.endswith(".tar") and times > 1
    } == set()
    again = archive(crawling, *[REMOVE] * removed)
    assert again.code == 0
    assert "[erin" not in again.output, "a finished user needs no process"


def bytes_here(store: Path) -> int:
    """Return the bytes of images and tars in staging; a WAL alone may have 4 MB for a moment."""
    size = 0
    for folder, _, names in os.walk(store / ".incomplete"):
        for name in names if ".crawl" not in Path(folder).parts else ():
            with suppress(OSError):
                size += (Path(folder) / name).stat().st_size
    return size


def test_slices_together_keep_to_the_room_that_uploads_make(
    service: Service, tmp_path: Path, wanted: Wanted
) -> None:
    """Half of the collection; what waits for archive.org keeps slices waiting."""
    size = sum(path.stat().st_size for path in wanted.collection.glob("*.tar"))
    bound, part = size // 2 + 500_000, 250_000
    service.sandbox.set_faults({"archive": {"task_seconds": 1.0}})
    crawling = service.crawling(tmp_path / "store")
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.05):
            peak = max(peak, bytes_here(crawling.store))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        result = archive(crawling, REMOVE, f"-sSTAGING_MAX_BYTES={bound}")
    finally:
        ended.set()
        watching.join()
    assert result.code == 0, result.output
    assert "cut into" in result.output
    assert "no room for it beside what is here" in result.output, "slices have waited"
    assert "this process goes on with all of it" not in result.output
    assert peak <= bound + 3 * part, f"{peak} of {bound}"
    assert_there(service, crawling.store / NAME, wanted, removed=True)


def test_slices_too_large_for_the_room_are_taken_back(
    service: Service, tmp_path: Path, wanted: Wanted
) -> None:
    """Cut with room enough, and begun when others had used it up."""
    crawling = service.crawling(tmp_path / "store")
    given = (*OPTIONS, "-sSLICE_IMAGES=150", REMOVE)
    cut = crawling.scrapy("crawl", "user", "-ausername=erin", *given, "-acut=1")
    assert cut.code == 4, cut.output
    results = [archive(crawling, REMOVE, "-sSTAGING_MAX_BYTES=3MB")]
    assert "this process goes on with all of it" in results[0].output
    while results[-1].code == 6 and len(results) < 5:  # what SQLite has not taken in counts, too
        results.append(archive(crawling, REMOVE, "-sSTAGING_MAX_BYTES=3MB"))
    assert results[-1].code == 0, results[-1].output
    assert not any("[erin#" in result.output for result in results)
    assert_there(service, crawling.store / NAME, wanted, removed=True)


def uploading_whole(pid: int) -> int | None:
    """Return the process of the user's own task, if one runs."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            line = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            if "crawl user" in line and "slice=" not in line:
                return int(child)
    return None


@pytest.mark.parametrize("removed", [False, True])
def test_kills_of_slices_and_of_what_uploads(
    service: Service, tmp_path: Path, wanted: Wanted, *, removed: bool
) -> None:
    """Whoever is killed is tried again; and so is all by the same command."""
    service.sandbox.set_faults({"archive": WEATHER, "cdn": {"latency_ms": 50}})
    crawling = service.crawling(tmp_path / "store")
    command = [
        *crawling.command_line, "archive", "erin", "--jobs=3", *OPTIONS, *[REMOVE] * removed,
    ]  # fmt: skip
    generator, kills = random.Random(3 + removed), 0
    for _ in range(20):
        with crawling._started(command) as process:
            ends = time.monotonic() + 200
            while process.poll() is None and time.monotonic() < ends and kills < 10:
                time.sleep(generator.uniform(0.5, 2.5))
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                with suppress(OSError, IndexError):
                    whole = uploading_whole(process.pid)
                    others = [int(each) for each in children.read_text().split()]
                    victim = whole if whole and kills % 2 else generator.choice(others)
                    if kills % 5 == 4:
                        victim = process.pid
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                    never_removed_unseen(service, crawling.store)
            output, _ = process.communicate(timeout=300)
        if process.returncode == 0:
            break
    assert process.returncode == 0, output
    assert kills >= 5
    assert_there(service, crawling.store / NAME, wanted, removed=removed)
    lost = service.sandbox.counters()["faults"].get("archive.lost", 0)
    accepted = service.sandbox.archive()["accepted"]
    sent = {name: times for name, times in accepted.items() if name.endswith(".tar")}
    assert sum(sent.values()) - len(sent) <= kills + lost


def never_removed_unseen(service: Service, store: Path) -> None:
    """Assert that whatever a ledger says is removed lies on archive.org."""
    folder = store / ".incomplete" / NAME
    with suppress(sqlite3.Error, ProjectError), closing(read_ledger(folder)) as ledger:
        pieces = list(ledger.pieces.all())
        there = service.files() if (service.uploads / NAME).is_dir() else {}
        for piece in pieces:
            if piece.state is PieceState.REMOVED:
                assert hashlib.sha256(there[piece.name]).digest() == piece.sha256


def test_by_hand(service: Service, tmp_path: Path, wanted: Wanted) -> None:
    """`cut=1` again and again sends what has ended, and leaves the rest."""
    crawling = service.crawling(tmp_path / "store")
    given = ("crawl", "user", "-ausername=erin", *OPTIONS)
    assert crawling.scrapy(*given, "-acut=1").code == 4
    slices = read_slices(crawling.store / ".incomplete" / NAME) or []
    assert len(slices) > 4
    assert service.sandbox.archive()["items"] == {}
    for part in slices:
        assert crawling.scrapy(*given, f"-aslice={part.number}").code == 0
        if part.number == 2:
            again = crawling.scrapy(*given, "-acut=1")
            assert again.code == 4, again.output
            held = service.sandbox.archive()["items"][NAME]["files"]
            names = {file["name"] for file in held}
            assert {"metadata.jsonl.gz", "checksums.jsonl.gz"} <= names
            assert "SHA256SUMS" not in names
            days = {name[:10] for name in names if name.endswith(".tar")}
            assert days
            assert max(days) <= slices[1].last_day
    assert crawling.scrapy(*given, "-acut=1").code == 0
    assert_there(service, crawling.store / NAME, wanted, removed=False)


def test_refused_keys_cost_no_crawl(service: Service, tmp_path: Path) -> None:
    service.sandbox.set_faults({"archive": {"forbidden": 1.0}})
    crawling = service.crawling(tmp_path / "store")
    result = archive(crawling, REMOVE)
    assert result.code == 10, result.output
    assert list((crawling.store / NAME).glob("*.tar"))
    service.sandbox.set_faults({"archive": {"forbidden": 0.0}})
    assert archive(crawling, REMOVE).code == 0
    assert not list((crawling.store / NAME).glob("*.tar"))
