"""A user larger than the disk: fetched, sealed, uploaded and removed, whatever happens meanwhile.

`--room 300` is the long version: megabytes of the user. A fifth of that is the bound.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set
from tests.chaos.conftest import KILLS, ROOM
from tests.chaos.small_disk import small_disk
from tests.crawling import IA_KEYS, Crawling, Result

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

logger = logging.getLogger(__name__)

ITEM = "mapillary-large-1024"
ARGUMENTS = {"username": "large", "quality": "1024", "check_ia": 0}
#: Bytes of an image of the sandbox at this quality.
_IMAGE = 100_000
#: Seconds between two looks at the staging folder, and those that a run may take.
_LOOK, _LONGEST = 0.02, 900
FAULTS = {"archive": {"slow_down": 0.1, "reset": 0.05, "lost": 0.02, "task_jitter": 0.3}}
#: Exit codes after which the same command is to be run again.
AGAIN = frozenset({3, 4, 6, 7, 10, -9})


@dataclass(frozen=True)
class Sizes:
    """Bytes of the user, of what may be here, of a part, in flight, and of the disk."""

    user: int
    bound: int
    part: int
    in_flight: int
    disk: int

    @classmethod
    def of(cls, megabytes: int, times: int = 5) -> Sizes:
        bound = megabytes * 1_000_000 // times
        return cls(bound * times, bound, bound * 4 // 15, bound * 2 // 15, bound * 5 // 3)

    @property
    def options(self) -> list[str]:
        return [
            "-s", f"TAR_MAX_BYTES={self.part}", "-s", f"IN_FLIGHT_BYTES={self.in_flight}",
        ]  # fmt: skip

    @property
    def images(self) -> int:
        return self.user // _IMAGE


@dataclass
class Watch:
    """Looks at a staging folder again and again: its bytes, and when a tar was there no more."""

    crawling: Crawling
    peak: int = 0
    tars: set[str] = field(default_factory=set)
    removed: dict[str, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        staging, store = self.crawling.store / ".incomplete" / ITEM, self.crawling.store / ITEM
        while not self._over.wait(_LOOK):
            self.peak = max(self.peak, used(staging))
            here = {path.name for folder in (staging, store) for path in folder.glob("*.tar")}
            # A move takes place between two looks: what is there again was not removed.
            for name in self.tars - here:
                self.removed.setdefault(name, time.time())
            for name in here:
                self.removed.pop(name, None)
            self.tars |= here


def used(folder: Path) -> int:
    """Return the bytes that files below a folder take of their disk."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(place) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


@dataclass
class Place:
    """A small disk with a store, a sandbox, and what a crawl without any trouble makes of it."""

    crawling: Crawling
    sandbox: Sandbox
    uploads: Path
    whole: dict[str, str]
    sizes: Sizes

    def run(self, *options: str, **arguments: Any) -> Result:
        return self.crawling.run(
            *self.sizes.options, *options, timeout=_LONGEST, **ARGUMENTS, **arguments
        )

    def upload(self, *options: str, **arguments: Any) -> Result:
        bound = ("-s", f"STAGING_MAX_BYTES={self.sizes.bound}")
        return self.run(*bound, *options, upload=1, remove=1, **arguments)

    def fill(self) -> Result:
        """Crawl without uploads until the disk is full, with images missing in all days."""
        self.sandbox.set_faults({"cdn": {"server_error": 0.25}})
        disk = shutil.disk_usage(self.crawling.store.parent)
        free = disk.free - self.sizes.bound
        result = self.run(
            "-s", f"MIN_FREE_BYTES={free}", "-s", "IMAGE_ATTEMPTS=1", "-s", "CONCURRENT_ITEMS=8"
        )
        self.sandbox.set_faults({"cdn": {"server_error": 0.0}})
        return result

    def prove(self, proof: Path) -> None:
        """Prove every image by the item's files and the manifests that are here."""
        folder, item = self.crawling.store / ITEM, self.uploads / ITEM
        assert not list(folder.glob("*.tar"))
        proof.mkdir()
        for line in (folder / "SHA256SUMS").read_text().splitlines():
            name = line.split("  ", 1)[1]
            place = item if name.endswith(".tar") else folder
            (proof / name).symlink_to(place / name)
        shutil.copy(folder / "SHA256SUMS", proof)
        checked = subprocess.run(
            ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"],
            cwd=proof, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stdout + checked.stderr
        proven = 0
        rows = gzip.decompress((folder / "checksums.jsonl.gz").read_bytes()).splitlines()
        sums = {row["sha256_stored"]: row for row in map(json.loads, rows)}
        for tar in item.glob("*.tar"):
            with tarfile.open(tar) as members:
                for member in members:
                    content = members.extractfile(member)
                    assert content is not None
                    row = sums[hashlib.sha256(content.read()).hexdigest()]
                    assert (row["tar"], row["offset"]) == (tar.name, member.offset_data)
                    proven += 1
        assert proven == self.sizes.images
        found = {path.name: digest(path) for path in item.glob("*.tar")}
        found |= {
            name: content
            for name, content in hashed(deterministic_set(folder)).items()
            if not name.endswith(".tar")
        }
        assert found == self.whole

    def verified_before(self, watch: Watch) -> None:
        """Assert that each tar was removed only after archive.org had shown it."""
        events = self.sandbox.archive()["log"]
        assert len(watch.removed) > 5
        for name, at in watch.removed.items():
            came = [each["at"] for each in events if (each["what"], each["name"]) == ("came", name)]
            assert came, name
            reads = [each["at"] for each in events if each["what"] == "read" and each["read"]]
            assert any(min(came) <= read <= at for read in reads), name

    def repeated(self) -> int:
        """Return the uploads of tars that were accepted again without archive.org's fault."""
        seen = self.sandbox.archive()
        fault = Counter(each["name"] for each in seen["log"] if each["what"] == "lost") + Counter(
            put["name"] for put in seen["puts"] if put["accepted"] and not put["read"]
        )
        return sum(
            max(0, count - 1 - fault[path.rpartition("/")[2]])
            for path, count in seen["accepted"].items()
            if path.endswith(".tar")
        )


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashed(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, days: float, times: int
) -> Iterator[Place]:
    sizes = Sizes.of(request.config.getoption("--room", ROOM) * times // 5, times)
    users = [{"username": "large", "images": sizes.images, "days": days, "panoramas": 0.0}]
    uploads = tmp_path / "uploads"
    with (
        Sandbox.running(users, seed=7, uploads=uploads) as sandbox,
        small_disk(tmp_path / "disk", sizes.disk) as disk,
    ):
        crawling = Crawling(disk / "store", sandbox)
        crawling.environment |= {
            "HOME": str(tmp_path),
            **IA_KEYS,
            "IA_RETRY_WAIT": "0.02",
            "IA_PATIENCE": "60",
        }
        undisturbed = Crawling(tmp_path / "undisturbed", sandbox)
        result = undisturbed.run(*sizes.options, timeout=_LONGEST, **ARGUMENTS)
        assert result.code == 0, result.output
        whole = hashed(deterministic_set(undisturbed.store / ITEM))
        shutil.rmtree(undisturbed.store)
        sandbox.reset()
        yield Place(crawling, sandbox, uploads, whole, sizes)


@pytest.mark.parametrize(("days", "times"), [(12.0, 5), (0.9, 3)])
def test_a_user_or_a_day_larger_than_the_disk_passes(place: Place, tmp_path: Path) -> None:
    with Watch(place.crawling) as watch:
        result = place.upload()
    assert result.code == 0, result.output
    logger.info("peak %d of %s", watch.peak, place.sizes)
    assert watch.peak < place.sizes.bound + place.sizes.part
    place.prove(tmp_path / "proof")
    place.verified_before(watch)
    assert place.repeated() == 0


@pytest.mark.parametrize(("days", "times"), [(90.0, 5)])
def test_what_a_crawl_left_that_filled_the_disk_passes(place: Place, tmp_path: Path) -> None:
    filled = place.fill()
    assert filled.code == 6, filled.output
    assert used(place.crawling.store) > 0.6 * place.sizes.bound
    with Watch(place.crawling) as watch:
        result = place.upload()
    assert result.code == 0, result.output
    logger.info("peak %d of %s", watch.peak, place.sizes)
    assert watch.peak < place.sizes.bound + place.sizes.part
    place.prove(tmp_path / "proof")
    place.verified_before(watch)


@pytest.mark.parametrize(("days", "times"), [(20.0, 5)])
def test_kills_of_both_processes_lose_nothing(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = min(20, request.config.getoption("--kills", KILLS))
    chance = random.Random(kills)
    killed = 0
    while killed < kills:  # a user may be archived before the last kill
        shutil.rmtree(place.crawling.store, ignore_errors=True)
        shutil.rmtree(place.uploads, ignore_errors=True)
        shutil.rmtree(tmp_path / "proof", ignore_errors=True)
        place.sandbox.reset()
        place.sandbox.set_faults(FAULTS)
        killed += killed_series(place, chance, kills - killed)
        place.sandbox.set_faults({"archive": dict.fromkeys(FAULTS["archive"], 0.0)})
        place.prove(tmp_path / "proof")


def killed_series(place: Place, chance: random.Random, kills: int) -> int:
    """Run the command until the user is archived; return how often it was killed meanwhile."""
    codes: list[int] = []
    output = ""
    killed = 0
    with Watch(place.crawling) as watch:
        while 0 not in codes:
            assert len(codes) < kills + 20, output
            code, said, met = run_killed(place, chance, last=killed >= kills)
            killed += met
            output += f"{said}--- exit code {code}\n"
            codes.append(code)
            assert code in AGAIN | {0}, output
            assert "Traceback" not in said, output
    again = place.repeated()
    logger.info("peak %d of %s", watch.peak, place.sizes)
    logger.info("%d kills, exit codes %s, %d tars sent again", killed, codes, again)
    assert watch.peak < place.sizes.bound + place.sizes.part, output
    place.verified_before(watch)
    assert again <= killed, output
    return killed


def run_killed(place: Place, chance: random.Random, *, last: bool) -> tuple[int, str, int]:
    """Run the command; kill it, the process that it speaks to archive.org by, or both, somewhen."""
    bound = ("-s", f"STAGING_MAX_BYTES={place.sizes.bound}")
    arguments = {**ARGUMENTS, "upload": 1, "remove": 1}
    met = 0
    with place.crawling.started(*place.sizes.options, *bound, **arguments) as process:
        lines: list[str] = []
        assert process.stdout is not None
        reading = threading.Thread(target=lines.extend, args=(process.stdout,))
        reading.start()
        if not last:
            end = time.monotonic() + chance.uniform(1, 10)
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            met = _kill(process, chance)
        process.wait(_LONGEST)
        reading.join()
    return process.returncode, "".join(lines), met


def _kill(process: subprocess.Popen[str], chance: random.Random) -> int:
    """Kill one or both; return 1, 0 where there was nothing to kill."""
    which = chance.choice(["both", "crawl", "child"])
    while which == "child" and process.poll() is None:  # there may be none yet, or again
        if children := _children(process.pid):
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            return 1
        time.sleep(0.01)
    if process.poll() is not None:
        return 0
    if which == "both":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    return 1


def _children(pid: int) -> list[int]:
    """Return the processes that one has started."""
    try:
        lists = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for each in lists for child in each.read_text().split()]
    except OSError:  # it, or a thread of it, has just ended
        return []
