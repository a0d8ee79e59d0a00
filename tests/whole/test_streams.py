"""A crawl whose output goes nowhere is a crawl; what only prints ends with its reader."""

from __future__ import annotations

import fcntl
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, wait_until

pytestmark = pytest.mark.long

#: What a shell may do to a command's output.
LOST = ["> /dev/full 2>&1", ">&- 2>&-", "2>&1 | head -1", "2>&-", "<&- >&-"]
CRAWL = "crawl user -a username=bob -a quality=256 -a check_ia=0"
ARCHIVE = "archive bob nobody --jobs=2 -a quality=256 -a check_ia=0"
PLAN = "plan bob -a quality=256 -a check_ia=0 --json"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "bob", "images": 40, "days": 3.0}]) as running:
        yield running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    return Crawling(tmp_path / "store", sandbox)


def shell(crawling: Crawling, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line whose exit code is that of its first program."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("scrapy", " ".join(SCRAPY), 1)],
        cwd=PROJECT,
        env=crawling.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("lost", LOST)
def test_a_crawl_goes_on(crawling: Crawling, lost: str) -> None:
    done = shell(crawling, f"scrapy {CRAWL} {lost}")
    assert done.returncode == 0, done
    assert "Traceback" not in done.stdout + done.stderr
    folder = crawling.store / "mapillary-bob-256"
    assert len(list(folder.glob("*.tar"))) >= 3
    assert not list(folder.glob("**/*Archiving*"))


@pytest.mark.parametrize("lost", LOST)
def test_archive_and_plan_go_on(crawling: Crawling, lost: str) -> None:
    planned = shell(crawling, f"scrapy {PLAN} {lost}")
    assert (planned.returncode, planned.stderr if "2>" in lost else "") == (0, "")
    archived = shell(crawling, f"scrapy {ARCHIVE} {lost}")
    assert archived.returncode == 8, archived
    assert (crawling.store / "mapillary-bob-256").is_dir()


@pytest.mark.parametrize(("command", "code"), [("status", 6), ("verify mapillary-bob-256", 1)])
def test_what_only_prints(crawling: Crawling, command: str, code: int) -> None:
    assert crawling.run(username="bob", quality="256").code == 0
    full = shell(crawling, f"scrapy {command} > /dev/full")
    assert full.returncode == code
    assert full.stderr.endswith(
        f"scrapy {command.split(maxsplit=1)[0]}: standard output: No space left on device\n"
    )
    assert len(full.stderr.splitlines()) == 1
    for closed in (">&-", ">&- 2>&-"):
        done = shell(crawling, f"scrapy {command} {closed}")
        assert (done.returncode, done.stderr) == (0, "")


def test_hangup_of_what_only_prints(crawling: Crawling) -> None:
    """It waits here for a reader of its lines, so that the signal finds it at work."""
    assert crawling.run(username="bob", quality="256").code == 0
    strange = crawling.store / "mapillary-bob-256" / "strange"
    strange.mkdir()
    for number in range(2000):
        (strange / f"{number:060}").touch()
    process = subprocess.Popen(
        [*SCRAPY, "verify", "mapillary-bob-256"], cwd=PROJECT, env=crawling.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    wait_until(lambda: struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0] > 60000)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 4
    assert errors == "scrapy verify: interrupted\n"


def test_one_collection_that_cannot_be_read(crawling: Crawling) -> None:
    """Its facts are no JSON, and another's name is no text."""
    assert crawling.run(username="bob", quality="256").code == 0
    folder = crawling.store / "mapillary-bob-256"
    other = folder.with_name("mapillary-other-256")
    (other / LEDGER_PATH).parent.mkdir(parents=True)
    (other / LEDGER_PATH).write_bytes((folder / LEDGER_PATH).read_bytes())
    with closing(Ledger(other / LEDGER_PATH)) as ledger:
        ledger.database.execute("UPDATE facts SET value = '{'")
    Path(f"{crawling.store}/mapillary-\udcff-256").mkdir()
    result = crawling.scrapy("status", "--failed")
    assert result.code == 0, result.output
    assert "Traceback" not in result.output
    assert [line.split()[:2] for line in result.lines[1:]] == [
        ["mapillary-bob-256", "archived"],
        ["mapillary-other-256", "cannot"],
        ["mapillary-\\udcff-256", "no"],
    ]
