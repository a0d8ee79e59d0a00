"""SIGTERM ends a crawl within seconds also while it finishes, or where a thread is blocked."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.killing import MOMENTS, crawl
from tests.crawling import Crawling, assert_complete, wait_until

pytestmark = pytest.mark.long

USERS = [
    {"username": "heidi", "images": 300, "days": 150.0},
    {"username": "ivan", "images": 60, "days": 2.0},
]
#: Seconds from the signal to the end: the watchdog's four, and some for a busy machine.
LONGEST = 10


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=23) as running:
        yield running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    sandbox.reset()
    return Crawling(tmp_path / "store", sandbox)


def stopped(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    """Send a signal and return what was printed; assert that the process ends in time."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 4, output
    assert "Traceback" not in output
    return output


def assert_balance(output: str, name: str, listed: int) -> None:
    """Assert that the last line states the balance, though the watchdog has ended the run."""
    last = output.strip().splitlines()[-1]
    assert last.startswith(f"{name}: interrupted: listed {listed} = ")
    assert "; run the same command again: scrapy crawl user -a username=" in last


def complete(crawling: Crawling, sandbox: Sandbox, username: str, **arguments: Any) -> None:
    """Run the command to its end and assert that nothing is missing."""
    sandbox.reset()
    result = crawling.run(username=username, quality="256", check_ia=0, **arguments)
    assert result.code == 0, result.output
    if not arguments:
        assert_complete(crawling.store / f"mapillary-{username}-256", sandbox, username, "256")


# While fresh URLs are asked for


def test_a_stop_while_fresh_urls_are_asked_for(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"expired": 1.0}, "api": {"latency_ms": 1500}})
    with crawling.started(username="ivan", quality="256", check_ia=0) as process:
        wait_until(lambda: sandbox.counters()["endpoints"].get("/?ids", 0) >= 1)
        output = stopped(process)
    # Not the watchdog's end: what asks must not go on asking for ever.
    assert "interrupted: listed" in output
    complete(crawling, sandbox, "ivan")


# While the collection is finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["sealing", "manifests", "moving"])
def test_a_stop_while_finishing(
    crawling: Crawling,
    sandbox: Sandbox,
    request: pytest.FixtureRequest,
    phase: str,
    number: signal.Signals,
) -> None:
    if phase == "moving":
        other = request.getfixturevalue("other_disk")
        crawling.environment["MAPILLARY_STAGING"] = str(other / "staging")
    name = "mapillary-heidi-256"
    moment = next(each for each in MOMENTS if each.phase == phase)
    arguments: dict[str, Any] = {"username": "heidi", "quality": "256", "check_ia": 0}
    run = crawl(crawling, name, moment=moment, chance=random.Random(1), number=number, **arguments)
    assert run.seconds_to_end < LONGEST
    assert run.process.returncode in (0, 4), "".join(run.lines)
    assert not run.printed("Traceback")
    if run.process.returncode == 4:
        assert not (crawling.store / name).exists()
        assert not (crawling.store / f".incoming-{name}").exists()
        assert run.printed("interrupted: listed")
        complete(crawling, sandbox, "heidi")


# Blocked threads: a named pipe that nobody reads blocks whoever opens it to write


def block(folder: Path, name: str) -> Callable[[], bool]:
    """Return what puts a pipe into a folder as soon as it is there; says whether it has."""

    def put() -> bool:
        with suppress(FileNotFoundError, FileExistsError):
            os.mkfifo(folder / name)
            return True
        return False

    return put


def test_a_stop_while_a_disk_thread_is_blocked(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 400}})
    incoming = crawling.store / ".incomplete" / "mapillary-ivan-256" / ".crawl" / "incoming"
    options = ("-s", "MAPILLARY_CONCURRENCY_FIXED=4")
    with crawling.started(*options, username="ivan", quality="256", check_ia=0) as process:
        wait_until(block(incoming, "0"))
        before = sandbox.counters()["requests"]["cdn"]
        wait_until(lambda: sandbox.counters()["requests"]["cdn"] > before + 4)
        assert_balance(stopped(process), "mapillary-ivan-256", 60)
    complete(crawling, sandbox, "ivan")


def test_a_stop_while_the_ledger_thread_is_blocked(crawling: Crawling, sandbox: Sandbox) -> None:
    # The finish empties the folder as it begins, days sealed before have used it: put again, then.
    folder = crawling.store / ".incomplete" / "mapillary-heidi-256"
    put = block(folder / ".crawl" / "finishing", "SHA256SUMS")
    with crawling.started(username="heidi", quality="256", check_ia=0) as process:
        wait_until(lambda: not put() and (folder / ".meta" / "title" / "0").exists())
        assert_balance(stopped(process), "mapillary-heidi-256", 300)
    complete(crawling, sandbox, "heidi")


# Encoders that hang

HANGING = """#!/bin/sh
[ "$1" = -version ] && { echo 1.3.2; exit 0; }
trap '' INT TERM HUP
echo $$ >> "$PIDS"
exec sleep 600
"""
#: The same, and a child that has left its session holds its output open.
ESCAPING = HANGING.replace("exec sleep 600", 'setsid sleep 600 & echo $! >> "$PIDS"; wait')


@pytest.mark.parametrize("script", [HANGING, ESCAPING], ids=["hanging", "escaping"])
def test_a_stop_while_encoders_hang(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path, script: str
) -> None:
    pids = tmp_path / "pids"
    stand_in = tmp_path / "bin" / "cwebp"
    stand_in.parent.mkdir()
    stand_in.write_text(script)
    stand_in.chmod(0o755)
    ordinary = dict(crawling.environment)
    crawling.environment |= {
        "PATH": f"{stand_in.parent}:{ordinary['PATH']}",
        "PIDS": str(pids),
        "WEBP_ENCODER": "cwebp",
    }
    try:
        with crawling.started(username="ivan", quality="256", webp=1, check_ia=0) as process:
            wait_until(lambda: pids.exists() and pids.read_text().count("\n") > 1)
            assert alive(pids)
            stopped(process)
        if script is HANGING:
            wait_until(lambda: not alive(pids))
    finally:
        for pid in alive(pids):
            os.kill(pid, signal.SIGKILL)
    crawling.environment = ordinary
    if shutil.which("cwebp"):
        complete(crawling, sandbox, "ivan", webp=1)


def alive(pids: Path) -> list[int]:
    """Return which of the processes noted in a file are still there, and still ours."""
    noted = [int(line) for line in pids.read_text().split()] if pids.exists() else []
    return [pid for pid in noted if _is_ours(pid)]


def _is_ours(pid: int) -> bool:
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"sleep\x00600" in command or b"cwebp" in command
    return False
