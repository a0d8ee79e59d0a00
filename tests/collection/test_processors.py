"""Processors that may be used: affinity, and the quotas of control groups of both versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mapillary_crawler.collection.processors import usable_memory, usable_processors
from tests.crawling import PROJECT


def root(folder: Path, cgroup: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


V1 = "4:cpuset:/\n2:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n"
GROUPS = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("cgroup", "files", "processors"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {f"{GROUPS}/cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {f"{GROUPS}/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {f"{GROUPS}/cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {f"{GROUPS}/cpu.max": "1000 100000\n"}, 1),
        ("0::/\n", {f"{GROUPS}/cpu.max": "3200000 100000\n"}, 8),
        ("0::/\n", {f"{GROUPS}/cpu.max": "0 0\n"}, 8),
        ("0::/\n", {f"{GROUPS}/cpu.max": "much\n"}, 8),
        ("0::/a/b\n", {f"{GROUPS}/a/b/cpu.max": "max 100000", f"{GROUPS}/a/cpu.max": "3 1"}, 3),
        ("0::/a/b\n", {f"{GROUPS}/a/b/cpu.max": "2 1", f"{GROUPS}/a/cpu.max": "5 1"}, 2),
        # In a container: the path is the host's.
        ("0::/docker/ab\n", {f"{GROUPS}/cpu.max": "4 1"}, 4),
        (V1, {f"{GROUPS}/cpu,cpuacct/{n}": v for n, v in (
            ("cpu.cfs_quota_us", "300000\n"), ("cpu.cfs_period_us", "100000\n"))}, 3),
        (V1, {f"{GROUPS}/cpu,cpuacct/docker/ab/{n}": v for n, v in (
            ("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n"))}, 8),
        ("no such line\n", {}, 8),
    ],
)  # fmt: skip
def test_no_more_than_the_quota(
    tmp_path: Path, cgroup: str, files: dict[str, str], processors: int
) -> None:
    assert usable_processors(root(tmp_path, cgroup, files)) == processors


@pytest.mark.parametrize(
    ("cgroup", "files", "memory"),
    [
        ("0::/\n", {}, 8 << 30),
        ("0::/\n", {f"{GROUPS}/memory.max": "max\n"}, 8 << 30),
        ("0::/\n", {f"{GROUPS}/memory.max": "1073741824\n"}, 1 << 30),
        ("0::/a/b\n", {f"{GROUPS}/a/memory.max": "5000", f"{GROUPS}/a/b/memory.max": "max"}, 5000),
        ("3:memory:/\n", {f"{GROUPS}/memory/memory.limit_in_bytes": "4000000"}, 4_000_000),
        ("3:memory:/\n", {f"{GROUPS}/memory/memory.limit_in_bytes": str(2**63 - 4096)}, 8 << 30),
    ],
)
def test_no_more_memory_than_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, files: dict[str, str], memory: int
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2 << 20}.get)
    assert usable_memory(root(tmp_path, cgroup, files)) == memory


def test_where_there_is_no_proc_or_no_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert usable_processors(tmp_path) == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors(tmp_path) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_bound_to_one_processor_uses_one() -> None:
    code = (
        "import os\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from mapillary_crawler.collection.processors import usable_processors\n"
        "print(usable_processors())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert ran.stdout == "1\n"
