"""How many processors this process may use: those it is bound to, and no more than its quota."""

from __future__ import annotations

import math
import os
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


def _quotas(root: Path) -> list[float]:
    """Return the quotas of this process's control groups, in processors."""
    groups = root / "sys/fs/cgroup"
    quotas = []
    for line in _words(root / "proc/self/cgroup", "\n"):
        # cgroups(7): hierarchy:controllers:path; version 2 has no controllers.
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the path may be the host's, and the mount show the container's own group.
        names = Path(path.lstrip("/"))
        for place in (names, *names.parents):
            if controllers:
                folder = groups / controllers / place
                limit = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
            else:
                limit = _words(groups / place / "cpu.max")
            if len(limit) == 2 and all(word.isdecimal() and int(word) for word in limit):
                quotas.append(int(limit[0]) / int(limit[1]))
    return quotas


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text().strip().split(separator)
    except (OSError, ValueError):
        return []
