"""Real workers as processes, whose output goes to files."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.crawling import PROJECT, SCRAPY, Crawling


@contextmanager
def worker(
    crawling: Crawling, output: Path, jobs: int = 1, *, within: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `scrapy worker`; it is killed at the end, and its crawls end with it.

    `within` is a command that runs another in its place, in a namespace say.
    """
    with (
        output.open("ab") as file,
        subprocess.Popen(
            [*within, *SCRAPY, "worker", "--jobs", str(jobs)],
            cwd=PROJECT,
            env=crawling.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()


def crawls_of(pid: int) -> list[int]:
    """Return the crawls that a worker runs now."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if _is_crawl(child)]
    return []


def _is_crawl(pid: str) -> bool:
    with suppress(OSError):
        return b"username=" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to what may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
