"""What this process may use of its machine: processors and memory, and no more than its quota."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_processors(root: Path = Path("/")) -> int:
    """Return for how many threads that compute there is a processor, at least 1.

    Counts the processors that the scheduler may give (affinity, cpusets), and less where a control
    group of Linux has a quota, as containers do; `root` is where its files are looked for.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has no such call
        count = os.cpu_count() or 1
    return max(1, min([count, *map(math.ceil, _quotas(root))]))


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that there are for this process, used ones too."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [
        _words(folder / ("memory.limit_in_bytes" if is_first else "memory.max"))
        for folder, is_first in _groups(root, "memory")
    ]
    return min([size, *(int(words[0]) for words in limits if words and words[0].isdecimal())])


def _quotas(root: Path) -> list[float]:
    """Return the quotas of this process's control groups, in processors."""
    quotas = []
    for folder, is_first in _groups(root, "cpu"):
        if is_first:
            limit = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        else:
            limit = _words(folder / "cpu.max")
        if len(limit) == 2 and all(word.isdecimal() and int(word) for word in limit):
            quotas.append(int(limit[0]) / int(limit[1]))
    return quotas


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of this process's control groups, and whether they are of version 1."""
    groups = root / "sys/fs/cgroup"
    for line in _words(root / "proc/self/cgroup", "\n"):
        # cgroups(7): hierarchy:controllers:path; version 2 has no controllers.
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        # In a container the path may be the host's, and the mount show the container's own group.
        names = Path(path.lstrip("/"))
        for place in (names, *names.parents):
            yield groups / controllers / place, bool(controllers)


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text().strip().split(separator)
    except (OSError, ValueError):
        return []
