"""`scrapy clean`: removes from staging what runs that came to nothing left there."""

from __future__ import annotations

import argparse
import sys

from mapillary_crawler.collection.names import titled
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name


class Command(ProjectCommand):
    """Lists first, asks, and then removes known files only."""

    usage = "[--yes]"
    summary = "Remove staging folders that hold nothing but logs and empty ledgers"
    about = (
        "Lists the folders in staging that hold nothing but logs and a ledger without a\n"
        "single image, and removes them once you say so. Images, tars, listings and files\n"
        "that are not this program's are never touched, nor is a collection that a process\n"
        "works on."
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
        folders = list(leftovers(places))
        if not folders:
            print(f"There is nothing to remove in {places.staging}")
            return
        print("Folders with nothing but logs and empty ledgers:")
        for folder in folders:
            print(f"  {folder.parent / titled(folder.name)}")
        if not (opts.yes or _agreed()):
            print(f"Nothing was removed; to remove them, say: {program_name()} clean --yes")
            return
        for folder in folders:
            if not remove(folder, places):
                print(f"{folder} is no longer empty; it stays")


def _agreed() -> bool:
    """Ask, where there is somebody to ask."""
    if not sys.stdin.isatty():
        return False
    try:
        return input("Remove them? [y/N] ").strip().lower() in {"y", "yes"}
    except (EOFError, KeyboardInterrupt):
        print()
        return False
