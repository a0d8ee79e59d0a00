"""`scrapy clean`: removes from staging what runs that came to nothing left there."""

from __future__ import annotations

import argparse
import os
import sys

from scrapy.commands import ScrapyCommand
from scrapy.settings import Settings

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.terminal.command import (
    KeepsLines,
    read_places,
    refuse,
    refuse_arguments,
    refuse_errors,
)

_EPILOG = """\
Exit codes: 0, or 2 for a wrong argument.

Examples
========

  scrapy clean
  scrapy clean --yes
"""


class Command(ScrapyCommand):
    """Lists first, asks, and then removes known files only."""

    requires_crawler_process = False

    def syntax(self) -> str:
        """Return the usage behind the command's name."""
        return "[--yes]"

    def short_desc(self) -> str:
        """Return the line of `scrapy -h`."""
        return "Remove staging folders that hold nothing but logs and empty ledgers"

    def long_desc(self) -> str:
        """Return the first paragraph of `-h`."""
        return (
            "Lists the folders in staging that hold nothing but logs and a ledger without a\n"
            "single image, and removes them once you say so. Images, tars, listings and files\n"
            "that are not this program's are never touched, nor is a collection that a process\n"
            "works on."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        refuse_errors(parser, "clean")
        parser.formatter_class = KeepsLines
        parser.epilog = _EPILOG
        parser.add_argument("--yes", action="store_true", help="remove without asking")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """List, ask and remove."""
        # Imported here: every scrapy command imports this module.
        from mapillary_crawler.archive.leftovers import leftovers, remove  # noqa: PLC0415

        assert isinstance(self.settings, Settings)
        refuse_arguments("clean", args)
        try:
            places = read_places(self.settings, os.environ)
        except ArgumentRefused as refused:
            refuse("clean", refused)
        folders = list(leftovers(places))
        if not folders:
            print(f"There is nothing to remove in {places.staging}")
            return
        print("Folders with nothing but logs and empty ledgers:")
        for folder in folders:
            print(f"  {folder}")
        if not (opts.yes or _agreed()):
            print("Nothing was removed; to remove them, say: scrapy clean --yes")
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
