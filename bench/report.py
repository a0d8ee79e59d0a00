"""What the benchmark prints: Markdown, so that docs/performance.md can hold it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n## {text}\n", flush=True)


def line(text: str) -> None:
    """Print a line."""
    print(text, flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    print("| " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(map(_cell, row)) + " |", flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def machine() -> str:
    """Describe this machine in a line."""
    processor = platform.processor() or platform.machine()
    for each in _lines("/proc/cpuinfo"):
        if each.startswith("model name"):
            processor = each.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cwebp = subprocess.run(["cwebp", "-version"], capture_output=True, text=True, check=False)
    return (
        f"{os.cpu_count()} processors ({processor}), {memory:.0f} GB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, Scrapy {version('scrapy')}, "
        f"cwebp {cwebp.stdout.split()[0] if cwebp.stdout else 'absent'}; load "
        f"{os.getloadavg()[0]:.1f} at the start; the server runs on the same machine"
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
