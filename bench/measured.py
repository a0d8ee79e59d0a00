"""Runs a program and measures it from outside: time, processor, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.places import PROJECT, RESULTS

#: Seconds between two looks at a program's memory.
_LOOK = 0.1
#: Programs whose memory is not Python's: encoders are counted apart.
_ENCODERS = frozenset({"cwebp"})


@dataclass(frozen=True)
class Run:
    """A finished run; times in seconds, memory in bytes.

    `began` and `ended` are wall-clock times, `cpu` counts the children too, `memory` is the
    sum of the peaks of the program and its Python children.
    """

    began: float
    ended: float
    cpu: float
    memory: int
    code: int
    log: Path

    @property
    def wall(self) -> float:
        """Seconds from start to end."""
        return self.ended - self.began


def run(
    name: str,
    command: list[str | Path],
    environment: Mapping[str, str],
    until: Callable[[int], bool] = lambda _: False,
) -> Run:
    """Run a program to its end, or to the moment when `until(pid)` says that it is enough.

    Its output goes to bench/results/{name}.log.
    """
    RESULTS.mkdir(exist_ok=True)
    log = RESULTS / f"{name}.log"
    with log.open("wb") as output:
        began = time.time()
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    peaks: dict[int, list[int]] = {}
    stopped = False
    try:
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            for each in _tree(process.pid):
                peaks.setdefault(each, []).append(_peak(each))
            if not stopped and until(process.pid):
                stopped = True
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(_LOOK)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code and not stopped:
        raise RuntimeError(f"{name} ended with {code}; see {log}")
    # What was seen once is a process between its fork and the start of its program.
    memory = sum(max(each) for each in peaks.values() if len(each) > 1)
    return Run(began, time.time(), used.ru_utime + used.ru_stime, memory, code, log)


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds now."""
    return _status(pid, "VmRSS")


def _peak(pid: int) -> int:
    return _status(pid, "VmHWM")


def _status(pid: int, field: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def _tree(pid: int) -> list[int]:
    """Return a process and its children, encoders left out."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            found += [int(child) for child in children if _program(int(child)) not in _ENCODERS]
    return found


def _program(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
