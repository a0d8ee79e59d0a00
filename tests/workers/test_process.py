"""Processes that are heard, stopped, and end with the one that started them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mapillary_crawler.workers.process import Processes
from tests.crawling import PROJECT


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_output_has_a_title_whatever_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    said = (
        "import sys; sys.stdout.buffer.write(b'one\\r\\ntwo \\xff\\n' + b'x' * 200_000 + b'\\nend')"
    )

    async def run() -> int:
        processes = Processes(several=True)
        code = await processes.run("alice#3", python(said))
        await processes.relayed()
        return code

    assert asyncio.run(run()) == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == ["[alice#3] one", "[alice#3] two �"]
    assert sum(line.count("x") for line in lines) == 200_000
    assert lines[-1] == "[alice#3] end"


def test_a_process_has_ended_though_its_own_hold_the_pipe(tmp_path: Path) -> None:
    waits = (
        "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(.05)"
    )
    leaves = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]])"

    async def run() -> None:
        processes = Processes(several=True)
        assert await processes.run("alice", python(leaves, waits, tmp_path / "go")) == 0
        assert not (tmp_path / "go").exists()
        (tmp_path / "go").touch()
        await processes.relayed()

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_processes_end_with_who_started_them(tmp_path: Path) -> None:
    lives = (
        "import os, pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    pathlib.Path(sys.argv[1], 'ended').touch(); os._exit(4)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[1], 'begun').touch()\n"
        "while True: time.sleep(0.05)\n"
    )
    starts = (
        "import asyncio, sys\n"
        "from mapillary_crawler.workers.process import Processes\n"
        "asyncio.run(Processes(several=True).run('alice', [sys.executable, *sys.argv[1:]]))\n"
    )
    starter = subprocess.Popen(python(starts, "-c", lives, tmp_path), cwd=PROJECT)
    until((tmp_path / "begun").exists)
    starter.kill()
    starter.wait(60)
    until((tmp_path / "ended").exists)


def test_a_signal_reaches_who_is_being_started() -> None:
    async def run() -> int:
        processes = Processes(several=False)
        task = asyncio.create_task(processes.run("late", python("import time; time.sleep(600)")))
        await asyncio.sleep(0)  # it begins
        processes.stop(signal.SIGTERM)
        return await task

    assert asyncio.run(run()) == 4


def test_what_ends_one_that_nobody_has_stopped_is_told() -> None:
    killed = "import os; os.kill(os.getpid(), 15)"
    processes = Processes(several=False)
    assert asyncio.run(processes.run("killed", python(killed))) == -signal.SIGTERM


def test_ctrl_c_ends_what_only_begins_without_a_traceback(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Python would make one of SIGINT while a crawl imports what it needs."""
    begun = tmp_path / "begun"
    beginning = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    processes = Processes(several=False)

    async def run() -> int:
        crawl = asyncio.create_task(processes.run("alice", python(beginning, begun)))
        await asyncio.to_thread(until, begun.exists)
        signal.raise_signal(signal.SIGINT)
        return await crawl

    with processes.passing_signals():
        assert asyncio.run(run()) == 4
    assert capfd.readouterr().err == ""


def test_nobody_is_started_once_stopped() -> None:
    async def run() -> int:
        processes = Processes(several=False)
        processes.stop(signal.SIGINT)
        return await processes.run("never", python("raise SystemExit(7)"))

    assert asyncio.run(run()) == 4
