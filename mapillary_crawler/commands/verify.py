"""`scrapy verify`: whether collections are what they were."""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.settings import Settings

from mapillary_crawler.collection.configuration import read_number
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.collection.places import Places
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import (
    KeepsLines,
    ends_with_reader,
    read_places,
    refuse,
    refuse_errors,
    refuse_options,
    say,
)

if TYPE_CHECKING:
    from mapillary_crawler.archive.verify.verification import Verdict

_EPILOG = """\
Exit codes
==========

  0  all is well
  1  something is missing, extra, changed or unreadable; each has a line that names it
  2  wrong argument, or a folder that is no collection
  3  nothing is wrong with what is there, but the collection is not finished
  4  interrupted
  9  another process works on the collection

Examples
========

  scrapy verify mapillary-alice-2048
  scrapy verify --fast mapillary_data/mapillary-*
  scrapy verify ~/downloads/mapillary-alice-2048
"""


class Command(ScrapyCommand):
    """Reads and compares; never repairs, never writes."""

    requires_crawler_process = False

    def syntax(self) -> str:
        """Return the usage behind the command's name."""
        return "[--fast|--full] COLLECTION..."

    def short_desc(self) -> str:
        """Return the line of `scrapy -h`."""
        return "Check collections: every file, every image"

    def long_desc(self) -> str:
        """Return the first paragraph of `-h`."""
        return (
            "Compares collections with their ledger or, where they have none, with their\n"
            "manifests. COLLECTION is a folder, or the name of one in the store or in staging.\n"
            "Nothing is ever repaired, and nothing is written."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        refuse_errors(parser, "verify")
        parser.formatter_class = KeepsLines
        parser.epilog = _EPILOG
        depth = parser.add_mutually_exclusive_group()
        depth.add_argument(
            "--fast", action="store_true", help="names, sizes and the balance; reads no image"
        )
        depth.add_argument(
            "--full",
            action="store_true",
            help="every byte against its checksum, every image decoded (default)",
        )

    @ends_with_reader()
    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Verify each collection; the worst of them makes the exit code."""
        assert isinstance(self.settings, Settings)
        refuse_options("verify", args)
        if not args:
            refuse("verify", "say which collection: scrapy verify COLLECTION")
        try:
            places = read_places(self.settings, os.environ)
            folders = [places.find(named) for named in args]
            walk = bool(read_number(self.settings, "JPEG_WALK", 0, int, 1))
        except ArgumentRefused as error:
            refuse("verify", error)
        outcomes = []
        try:
            outcomes = [
                _verify(folder, places, full=not opts.fast, walk=walk) for folder in folders
            ]
        except KeyboardInterrupt:
            say("verify", "interrupted")
            outcomes = [Outcome.INTERRUPTED]
        codes = {outcome.exit_code for outcome in outcomes}
        self.exitcode = next(code for code in (4, 1, 2, 9, 3, 0) if code in codes)


def _verify(folder: Path, places: Places, *, full: bool, walk: bool) -> Outcome:
    """Verify one collection and say what came of it."""
    # Imported here: every scrapy command imports this module.
    from mapillary_crawler.archive.verify.inventory import NoInventory  # noqa: PLC0415
    from mapillary_crawler.archive.verify.verification import (  # noqa: PLC0415
        Verification,
        bytes_below,
        open_inventory,
    )
    from mapillary_crawler.terminal.work_display import WorkDisplay, work_display  # noqa: PLC0415

    if places.is_locked(folder):
        say("verify", f"{folder.name}: another process works on it")
        return Outcome.LOCKED
    try:
        inventory = open_inventory(folder)
    except (NoInventory, NotFollowed) as error:
        say("verify", str(error))
        return Outcome.REFUSED
    except (sqlite3.DatabaseError, LedgerTooNew) as error:
        say("verify", f"{folder}: the ledger cannot be read: {error}")
        return Outcome.ERROR
    began = time.monotonic()
    total = bytes_below(folder) if full else 0
    shown = work_display() if total else WorkDisplay()
    try:
        with closing(inventory), shown:
            shown.begin("verifying", 1, total)
            shown.begin_file(folder.name, total)
            verdict = Verification(
                inventory,
                full=full,
                report=lambda problem: print(f"{folder.name}/{problem}", flush=True),
                note=lambda note: print(f"{folder.name}/{note}", flush=True),
                advance=shown.advance,
                walk=walk,
            ).run()
    except sqlite3.DatabaseError as error:
        say("verify", f"{folder}: the ledger cannot be read to its end: {error}")
        return Outcome.ERROR
    print(_summary(folder.name, verdict, time.monotonic() - began), flush=True)
    if verdict.problems:
        return Outcome.ERROR
    return Outcome.COMPLETE if verdict.finished else Outcome.INCOMPLETE


def _summary(name: str, verdict: Verdict, seconds: float) -> str:
    """Return the last line of a verification."""
    if verdict.problems:
        judgement = f"{verdict.problems:,} problem{'s' * (verdict.problems > 1)}"
    elif verdict.finished:
        judgement = "all is well"
    else:
        judgement = "nothing is wrong with what is there, but the collection is not finished"
    files = f"{verdict.files:,} files, {quantities.size(verdict.bytes)}"
    if verdict.elsewhere:
        files += f", {verdict.elsewhere:,} more on archive.org"
    return f"{name}: {judgement}: {verdict.balance}; {files} in {quantities.duration(seconds)}"
