"""The tools that are compared; each does the same work into a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.measured import run
from bench.places import RESULTS
from bench.work import Measurement, Work, measurement
from mapillary_crawler.sandbox.process import Sandbox

USERNAME = "ada"
#: Does some work against a sandbox in a folder, and returns what that took.
Tool = Callable[[Sandbox, Work, Path], Measurement]

_PEER = "mapillary-downloader==0.12.0"
#: That tool knows the real service only; its client is told of the sandbox before it starts.
_POINTED = """
import sys
from mapillary_downloader import client
address, made = sys.argv.pop(1), client.MapillaryClient.__init__
def pointed(self, token):
    made(self, token)
    self.base_url = address
client.MapillaryClient.__init__ = pointed
from mapillary_downloader.__main__ import main
main()
"""


def crawler(settings: Sequence[str] = (), *, name: str = "mapillary_crawler") -> Tool:
    """Return this project's command, with settings as `-s` takes them."""

    def work_it(sandbox: Sandbox, work: Work, folder: Path) -> Measurement:
        command = [
            *crawl_command(work.quality, settings),
            "-atar=0",
            f"-awebp={work.webp:d}",
            f"-ajxl={work.jxl:d}",
        ]
        done = run(name, command, crawl_environment(sandbox, folder))
        return measurement(done, folder, work)

    return work_it


def crawl_command(quality: str, settings: Sequence[str] = ()) -> list[str | Path]:
    """Return the command line of a crawl of the sandbox's user."""
    given = [f"-s{setting}" for setting in settings]
    return [
        sys.executable, "-m", "scrapy", "crawl", "user", f"-ausername={USERNAME}",
        f"-aquality={quality}", "-acheck_ia=0", *given,
    ]  # fmt: skip


def crawl_environment(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """Return the environment of a crawl that stores in `folder`."""
    untouched = {name: value for name, value in os.environ.items() if "MAPILLARY" not in name}
    nothing = {"XDG_STATE_HOME": os.devnull}  # these stores are none to be remembered
    return {**untouched, **nothing, **sandbox.environment, "MAPILLARY_STORE": str(folder)}


def peer(workers: int = 0) -> Tool:
    """Return mapillary-downloader, with so many workers or, at 0, as it is shipped."""
    python = _peer_environment()
    options = [f"--max-workers={workers}"] if workers else []
    name = f"mapillary-downloader-{workers or 'as-shipped'}"

    def work_it(sandbox: Sandbox, work: Work, folder: Path) -> Measurement:
        command: list[str | Path] = [
            python, "-c", _POINTED, sandbox.url, USERNAME, f"--quality={work.quality}",
            "--no-check-ia", "--no-tar", f"--output={folder / 'collections'}", *options,
        ]  # fmt: skip
        if not work.webp:
            command.append("--no-webp")
        environment = {
            "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MAPILLARY_TOKEN": sandbox.token,
        }
        return measurement(run(name, command, environment), folder, work)

    return work_it


def bare(sandbox: Sandbox, work: Work, folder: Path) -> Measurement:
    """Fetch and write with a bare aiohttp loop: no metadata, no checks, no ledger."""
    command: list[str | Path] = [
        sys.executable, "-m", "bench.bare", sandbox.url, sandbox.token, USERNAME, work.quality,
        folder,
    ]  # fmt: skip
    return measurement(run("bare-loop", command, os.environ), folder, work)


def _peer_environment() -> Path:
    """Install the other tool, by name, into an environment of its own; return its Python."""
    folder = RESULTS / _PEER.replace("==", "-")
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _PEER],
            check=True,
        )
        ready.touch()
    return python
