"""`scrapy demo`: archives a user of the sandbox and shows what came of it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scrapy.commands import ScrapyCommand

_USER = {
    "username": "demo",
    "images": 200,
    "days": 3.0,
    "panoramas": 0.2,
    "undated": 0.02,
    "dead": 2,
    "no_url": 0.01,
}
#: Lines of the tree that are shown.
_LINES = 40


class DemoCommand(ScrapyCommand):
    """Needs neither a token nor a network; leaves its result in `.demo`."""

    requires_crawler_process = False

    def short_desc(self) -> str:
        """Return the line of the list of commands."""
        return "Archive a user of the sandbox, offline, and show the result"

    def long_desc(self) -> str:
        """Return what the command does."""
        return (
            "Starts the sandbox, archives its user `demo` at 1024 pixels into ./.demo, and shows "
            "the collection and how to do the same on the real service. Example: scrapy demo"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the real command in a process of its own, against a sandbox."""
        from mapillary_crawler.sandbox import Sandbox  # noqa: PLC0415  only this command needs it

        store = Path(".demo").absolute()
        shutil.rmtree(store, ignore_errors=True)
        with Sandbox.running([_USER]) as sandbox:
            environment = {**os.environ, **sandbox.environment, "MAPILLARY_STORE": str(store)}
            command = ["crawl", "user", "-a", f"username={_USER['username']}", "-a", "quality=1024"]
            print("$ scrapy", " ".join(command), flush=True)
            program = [sys.executable, "-m", "scrapy", *command]
            self.exitcode = subprocess.run(program, env=environment, check=False).returncode  # noqa: S603
        if self.exitcode == 0:
            _show(store)


def _show(store: Path) -> None:
    """Print the collection's files and the way to the real service."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    print(f"\n{store}")
    for path in files[:_LINES]:
        print(f"  {path.relative_to(store)}  {path.stat().st_size:,} bytes")
    if len(files) > _LINES:
        print(f"  … and {len(files) - _LINES} more files")
    print(
        "\nThe same on the real service, with a token from "
        "https://www.mapillary.com/dashboard/developers:\n\n"
        "  export MAPILLARY_TOKEN='MLY|…'\n"
        "  .venv/bin/scrapy crawl user -a username=NAME -a quality=2048\n"
    )
