"""`scrapy clean`: removes from staging what plans, and runs that came to nothing, left there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mapillary_crawler.collection.names import titled
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.leftovers import Leftover


class Command(ProjectCommand):
    """Lists first, asks, and then removes known files only."""

    usage = "[--yes]"
    summary = "Remove folders in staging that hold nothing of worth"
    about = (
        "Lists the folders in staging that hold nothing but logs and a ledger without a\n"
        "single image, and those that only a plan has worked on, with its listing and its\n"
        "sample; removes them once you say so. What a crawl has begun, and files that are not\n"
        "this program's, are never touched, nor is a collection that a process works on."
    )
    epilog = f"""\
Exit codes: 0, 1 for what cannot be read or removed, 2 for a wrong argument.

Examples
========

  {program_name()} clean
  {program_name()} clean --yes
"""
    takes_arguments = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option of the command."""
        super().add_options(parser)
        parser.add_argument("--yes", action="store_true", help="remove without asking")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """List, ask and remove."""
        from mapillary_crawler.archive.leftovers import leftovers, remove

        places = self.places()
        found = list(leftovers(places))
        if not found:
            print(f"There is nothing to remove in {places.staging}")
            return
        print("Folders with nothing but logs, empty ledgers and plans:")
        for left in found:
            print(f"  {_shown(left)}{_plan(left)}")
        if not (opts.yes or _agreed()):
            print(f"Nothing was removed; to remove them, say: {program_name()} clean --yes")
            return
        for left in found:
            if not remove(left.folder, places):
                print(f"{_shown(left)} has something else now; it stays")


def _shown(left: Leftover) -> Path:
    return left.folder.parent / titled(left.folder.name)


def _plan(left: Leftover) -> str:
    """Say what a plan has left."""
    if not left.listed:
        return ""
    return f" (a plan: {left.listed:,} images listed, {left.sample:,} of them fetched)"


def _agreed() -> bool:
    """Ask, where there is somebody to ask."""
    if not sys.stdin.isatty():
        return False
    try:
        return input("Remove them? [y/N] ").strip().lower() in {"y", "yes"}
    except (EOFError, KeyboardInterrupt):
        print()
        return False
