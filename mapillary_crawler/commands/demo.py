"""`scrapy demo`: archives a user of the sandbox and shows what came of it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

from mapillary_crawler.collection.layout import LOCKS, STAGING, progress_writing
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program, program_name, program_typed

_USER = {
    "username": "demo",
    "images": 200,
    "days": 3.0,
    "sequence_length": 40,
    "streets": 9,
    "panoramas": 0.3,
    "undated": 0.02,
    "dead": 2,
    "no_url": 0.01,
}
#: Lines of the tree that are shown.
_LINES = 40
#: An empty file that says who has made the folder.
_MARKER = ".made-by-scrapy-demo"
_NAME = "mapillary-demo-1024"
#: All that a demo leaves, also one that was killed.
_MADE = frozenset({_MARKER, _NAME, progress_writing(Path(_NAME)).name, STAGING, LOCKS})


class DemoCommand(ProjectCommand):
    """Needs neither a token nor a network; leaves its result in `.demo`."""

    summary = "Archive a user of the sandbox, offline, and show the result"
    about = (
        "Removes what an earlier demo left in ./.demo and makes it anew: starts the sandbox,\n"
        "archives its user `demo` at 1024 pixels, and shows the collection, how to do the\n"
        "same on the real service, and how to look at it in the browser."
    )
    epilog = f"""\
Exit codes: those of {program_name()} crawl user -h; 2 also where
./.demo holds what no demo has made.

Example:

  {program_name()} demo
"""
    takes_arguments = False

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the real command in a process of its own, against a sandbox."""
        from mapillary_crawler.sandbox.process import Sandbox

        store = Path(".demo").absolute()
        _clear(store)
        with Sandbox.running([_USER]) as sandbox:
            places = {
                "MAPILLARY_STORE": str(store),
                "MAPILLARY_STAGING": str(store / STAGING),
                "XDG_STATE_HOME": os.devnull,  # a demo's store is none to be remembered
            }
            environment = {**os.environ, **sandbox.environment, **places}
            command = ["crawl", "user", "-a", f"username={_USER['username']}", "-a", "quality=1024"]
            print("$", program_name(), *command, flush=True)
            run = subprocess.run([*program(), *command], env=environment, check=False)  # noqa: S603
            self.exitcode = run.returncode
        if self.exitcode == 0:
            _show(store)


def _clear(store: Path) -> None:
    """Make the folder, or empty it; raises `ArgumentRefused` where that is not the demo's to do."""
    store.mkdir(exist_ok=True)
    found = {path.name for path in store.iterdir()}
    if store.is_symlink() or (found and (_MARKER not in found or found - _MADE)):
        raise ArgumentRefused(f"{store} holds what no demo has made; move it away first")
    (store / _MARKER).touch()
    for name in found - {_MARKER}:
        shutil.rmtree(store / name)


def _show(store: Path) -> None:
    """Print the collection's files, the way to the real service, and how to look at them."""
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != _MARKER)
    print(f"\n{store}")
    for path in files[:_LINES]:
        print(f"  {path.relative_to(store)}  {path.stat().st_size:,} bytes")
    if len(files) > _LINES:
        print(f"  … and {len(files) - _LINES} more files")
    print(
        "\nThe same on the real service, with a token from "
        "https://www.mapillary.com/dashboard/developers:\n\n"
        "  export MAPILLARY_TOKEN='MLY|…'\n"
        f"  {program_typed()} crawl user -a username=NAME -a quality=2048\n"
        "\nTo look at what this one has made, in the browser:\n\n"
        f"  {program_typed()} browse {store.name}/{_NAME}\n"
    )
