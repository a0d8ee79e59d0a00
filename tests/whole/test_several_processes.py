"""One user by several processes: the same bytes as by one, whatever is killed or stopped."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.test_kills import AGAIN, FAULTS
from tests.crawling import Crawling, Result, assert_same, wait_until
from tests.erin import ERIN, NAME, alone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("several_processes")]

USER = {**ERIN, "images": 400}
#: Some five slices; each image takes long enough for something to happen meanwhile.
OPTIONS = ("-aquality=256", "-acheck_ia=0", "-sSLICE_IMAGES=80")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([USER, {**USER, "username": "bob", "images": 30}], seed=5) as running:
        yield running


@pytest.fixture(autouse=True)
def _well(sandbox: Sandbox) -> Iterator[None]:
    sandbox.reset()
    well = sandbox.faults()
    yield
    sandbox.set_faults(well)


@pytest.fixture(scope="module")
def wanted(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the collection of one process."""
    return alone(tmp_path_factory.mktemp("one"), sandbox, *OPTIONS)


def several(crawling: Crawling, *options: str, users: tuple[str, ...] = ("erin",)) -> Result:
    return crawling.scrapy("archive", *users, "--jobs=4", *OPTIONS, *options)


def crawls_of(pid: int) -> dict[int, str]:
    """Return the crawls that a process has started, and their command lines."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            line = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            if "crawl user" in line:
                found[int(child)] = line
    return found


@contextmanager
def slices_running(crawling: Crawling, sandbox: Sandbox, least: int = 3) -> Iterator[Any]:
    """Give an archive of which some slices are being crawled, slowly."""
    sandbox.set_faults({"cdn": {"latency_ms": 400}})
    with crawling._started([*crawling.command_line, "archive", "erin", "--jobs=4", *OPTIONS,
                            "-sMAPILLARY_CONCURRENCY_FIXED=8"]) as process:  # fmt: skip

        def enough() -> bool:
            lines = crawls_of(process.pid).values()
            slices = [line for line in lines if " slice=" in line]
            assert all(("PROCESSORS=" in line) is (line in slices) for line in lines)
            return len(slices) >= least

        wait_until(enough)
        saved: Callable[[], int] = lambda: sum(  # noqa: E731
            1 for _ in crawling.store.glob(f".incomplete/{NAME}#*/*/**/*.jpg")
        )
        wait_until(lambda: saved() > 10)
        yield process


def test_the_same_bytes_as_by_one_process(
    sandbox: Sandbox, crawling: Crawling, wanted: Path
) -> None:
    result = several(crawling, "--json", users=("erin", "bob"))
    assert result.code == 0, result.output
    assert_same(crawling.store / NAME, wanted)
    lines = [json.loads(line) for line in result.lines if line.startswith("{")]
    assert {line["username"]: line["exit_code"] for line in lines} == {
        "erin": 0, "bob": 0, None: 0
    }  # fmt: skip
    numbers = {int(number) for number in re.findall(r"(?m)^\[erin#(\d+)\]", result.output)}
    assert len(numbers) >= 3
    assert "cut into" in result.output
    assert not list(crawling.store.glob(".incomplete/*#*"))
    dead = {each.image_id for each in sandbox.catalogue.user("erin").images() if each.dead}
    asked = sandbox.counters(images=True)["images"]["requests"]
    assert {image: count for image, count in asked.items() if count > 1}.keys() <= dead
    again = several(crawling, users=("erin", "bob"))
    assert again.code == 0
    assert "[erin" not in again.output, "a finished user needs no process"


@pytest.mark.long
def test_ctrl_c_ends_all_within_seconds_and_the_same_command_goes_on(
    sandbox: Sandbox, crawling: Crawling, wanted: Path
) -> None:
    with slices_running(crawling, sandbox) as process:
        crawls = crawls_of(process.pid)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 4, output
    assert "interrupted" in output
    of_slices = [each for each in output.splitlines() if ", slice " in each]
    assert not [each for each in of_slices if "run the same command again" in each]
    assert not any(map(_is_there, crawls))
    sandbox.set_faults({"cdn": {"latency_ms": 0}})
    result = several(crawling)
    assert result.code == 0, result.output
    assert_same(crawling.store / NAME, wanted)


@pytest.mark.long
def test_the_same_bytes_with_all_faults_on(
    sandbox: Sandbox, crawling: Crawling, wanted: Path
) -> None:
    """What fails in a slice is tried again by the whole, or by the same command."""
    sandbox.set_faults(FAULTS)
    codes = []
    while not codes or (codes[-1] in AGAIN and len(codes) < 10):
        result = several(crawling, "-sAPI_PATIENCE=60", "-sIMAGE_ATTEMPTS=3")
        codes.append(result.code)
    assert codes[-1] == 0, result.output
    assert_same(crawling.store / NAME, wanted)


@pytest.mark.long
def test_a_crawl_that_is_killed_is_tried_again(
    sandbox: Sandbox, crawling: Crawling, wanted: Path
) -> None:
    with slices_running(crawling, sandbox) as process:
        crawls = [pid for pid, line in crawls_of(process.pid).items() if " slice=" in line]
        for pid in crawls[:2]:
            os.kill(pid, signal.SIGKILL)
        sandbox.set_faults({"cdn": {"latency_ms": 0}})
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert_same(crawling.store / NAME, wanted)


@pytest.mark.long
def test_crawls_end_with_an_archive_that_is_killed(
    sandbox: Sandbox, crawling: Crawling, wanted: Path
) -> None:
    with slices_running(crawling, sandbox) as process:
        crawls = crawls_of(process.pid)
        process.kill()
        process.wait(60)
        wait_until(lambda: not any(map(_is_there, crawls)))
    sandbox.set_faults({"cdn": {"latency_ms": 0}})
    result = several(crawling)
    assert result.code == 0, result.output
    assert_same(crawling.store / NAME, wanted)


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
