"""One user on several cores: `archive --jobs N`, each crawl held to a part of a core, and free.

When images come is asked of the sandbox: merging slices renames their files.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import report
from bench.comparison import compare, in_folder, warm_up
from bench.measured import run
from bench.tools import USERNAME, Tool, crawl_environment, peer
from bench.work import Measurement, Work
from mapillary_crawler.sandbox.process import Sandbox

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000
#: Slices for each process: the start of one takes the time of some hundred images, and a slice has
#: 20,000.
_SLICES = 1


def held(images: int, rounds: int, settings: Sequence[str]) -> None:
    """Print what 1, 2 and 4 processes of a quarter of a core each fetch."""
    report.line(f"\n### Each process held to a quarter of a core, {images} images of 1024 px\n")
    if not Group.available():
        report.line("No control groups that may be written: left out.")
        return
    work = Work(images, "1024", 0)
    rates = dict.fromkeys((1, 2, 4), 0.0)
    user = {"username": USERNAME, "images": images, "days": 200.0}
    with Sandbox.running([user], faults=work.faults) as sandbox:
        warm_up(sandbox, work)
        for jobs in rates:
            tool = archive(jobs, settings, processors=0.25)
            runs = [in_folder(tool, sandbox, work) for _ in range(rounds)]
            rates[jobs] = median(each.rate for each in runs)
    rows = [(str(jobs), rate, rate / (jobs * rates[1])) for jobs, rate in rates.items()]
    report.table(("processes", "images/s, first to last", "of N times one"), rows)
    report.line("\nWanted: each added one at no less than 0.90 of the first.")


def free(images: int, rounds: int, settings: Sequence[str], workers: int) -> None:
    """Print what `--jobs 2` brings without a limit, beside the other tool at its best."""
    tools: Mapping[str, Tool] = {
        "archive --jobs 2": archive(2, settings),
        "archive --jobs 1": archive(1, settings),
        f"mapillary-downloader, {workers} workers": peer(workers),
    }
    for latency in (0, 20, 100):
        compare(Work(images, "1024", latency), tools, rounds)


def archive(jobs: int, settings: Sequence[str] = (), *, processors: float | None = None) -> Tool:
    """Return `archive --jobs N`, each crawl held to so many processors."""

    def work_it(sandbox: Sandbox, work: Work, folder: Path) -> Measurement:
        command: list[str | Path] = [
            sys.executable, "-m", "scrapy", "archive", USERNAME, f"--jobs={jobs}",
            f"-aquality={work.quality}", "-acheck_ia=0", "-atar=0",
            f"-sSLICE_IMAGES={max(1, work.images // (_SLICES * jobs))}",
            *(f"-s{setting}" for setting in settings),
        ]  # fmt: skip
        watch = Watch(sandbox, processors)
        with watch.holding():
            done = run(f"archive-{jobs}", command, crawl_environment(sandbox, folder), watch.look)
        watch.look(0)
        if watch.images != work.images:
            raise RuntimeError(f"{watch.images} of {work.images} images came; see {done.log}")
        return Measurement(done, watch.images, watch.first, watch.last)

    return work_it


@dataclass
class Watch:
    """Sees when images come, and holds each crawl that begins to so many processors."""

    sandbox: Sandbox
    processors: float | None
    images: int = 0
    first: float = 0.0
    last: float = 0.0
    _groups: dict[int, Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = self._came()

    def look(self, pid: int) -> bool:
        """Look once; `pid` is the archive's. It never is enough."""
        if self.processors and pid:
            for child in _children(pid) - self._groups.keys():
                self._groups[child] = Group.of(child, self.processors)
        came, now = self._came() - self._before, time.time()
        if came > self.images:
            self.first = self.first or now
            self.images, self.last = came, now
        return False

    def _came(self) -> int:
        answers: int = self.sandbox.counters()["answers"].get("cdn 200", 0)
        return answers

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Remove the groups at the end."""
        try:
            yield
        finally:
            for group in self._groups.values():
                group.remove()


@dataclass(frozen=True)
class Group:
    """A control group of Linux with a quota of processor time, for one process and its threads."""

    folder: Path

    @staticmethod
    def _base() -> Path:
        """Return where groups are made: cgroups(7), version 1 or 2."""
        first = _GROUPS / "cpu"
        return first if first.is_dir() else _GROUPS

    @classmethod
    def available(cls) -> bool:
        """Say whether such a group can be made."""
        with suppress(OSError):
            group = cls._made(f"bench-{os.getpid()}", 1)
            group.remove()
            return True
        return False

    @classmethod
    def of(cls, pid: int, processors: float) -> Group:
        """Hold a process to so many processors; one that has just ended is held to nothing."""
        group = cls._made(f"bench-{os.getpid()}-{pid}", processors)
        with suppress(ProcessLookupError):
            (group.folder / "cgroup.procs").write_text(str(pid))
        return group

    @classmethod
    def _made(cls, name: str, processors: float) -> Group:
        folder, quota = cls._base() / name, int(_PERIOD * processors)
        folder.mkdir()
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
        return cls(folder)

    def remove(self) -> None:
        """Remove it, once its process has ended."""
        self.folder.rmdir()


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found |= set(map(int, (task / "children").read_text().split()))
    return found
