"""`scrapy verify`: whether collections are what they were."""

from __future__ import annotations

import argparse
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused, worst
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.verify.inventory import Inventory
    from mapillary_crawler.archive.verify.verification import Verdict
    from mapillary_crawler.collection.places import Places


class Command(ProjectCommand):
    """Reads and compares; never repairs, never writes."""

    usage = "[--fast|--full] [--json] COLLECTION... [-a quality=QUALITY]"
    summary = "Check collections: every file, every image"
    about = (
        "Compares collections with their ledger or, where they have none, with their\n"
        "manifests. COLLECTION is a folder, or the name of one in the store or in staging,\n"
        "or a user's name, with -a quality= where several fit.\n"
        "Nothing is ever repaired, and nothing is written."
    )
    epilog = f"""\
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

  {program_name()} verify mapillary-alice-2048
  {program_name()} verify --fast mapillary_data/mapillary-*
  {program_name()} verify ~/downloads/mapillary-alice-2048
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        depth = parser.add_mutually_exclusive_group()
        depth.add_argument(
            "--fast", action="store_true", help="names, sizes and the balance; reads no image"
        )
        depth.add_argument(
            "--full",
            action="store_true",
            help="every byte against its checksum, every image decoded (default)",
        )
        parser.add_argument(
            "--json", action="store_true", help="print JSON, one line a problem and a collection"
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Verify each collection; the worst of them makes the exit code."""
        if not args:
            raise ArgumentRefused(f"say which collection: {program_name()} verify COLLECTION")
        self._json = opts.json
        places = self.places()
        quality = quality_of(opts)
        folders = [places.find(named, quality) for named in args]
        outcomes = [self._outcome(folder, places, full=not opts.fast) for folder in folders]
        self.exitcode = worst(outcome.exit_code for outcome in outcomes)

    def _refuse(self, folder: Path, outcome: Outcome, message: str) -> Outcome:
        """Say why a collection is not verified, and return what that is."""
        from mapillary_crawler.terminal.json_lines import line

        if self._json:
            fields = {"collection": folder.name, "exit_code": outcome.exit_code, "error": message}
            print(line({**fields, **_figures(None, None)}), flush=True)
        else:
            self.say(message)
        return outcome

    def _outcome(self, folder: Path, places: Places, *, full: bool) -> Outcome:
        """Verify one collection; one that cannot be read is not in the way of the others."""
        from mapillary_crawler.archive.read_ledger import title

        try:
            return self._verify(folder, places, full=full)
        except BrokenPipeError:
            raise
        except Refused as error:
            self.say(f"{title(folder)}: {error}; --fast reads no image")
            return Outcome.REFUSED
        except OSError as error:
            message = f"{error.filename or folder}: {error.strerror or error}"
            return self._refuse(folder, Outcome.ERROR, message)

    def _verify(self, folder: Path, places: Places, *, full: bool) -> Outcome:
        """Verify one collection and say what came of it."""
        from mapillary_crawler.archive.read_ledger import title
        from mapillary_crawler.archive.slices.reading import cut_words
        from mapillary_crawler.archive.update.half_done import half_done
        from mapillary_crawler.archive.verify.inventory import NoInventory
        from mapillary_crawler.archive.verify.verification import open_inventory
        from mapillary_crawler.ledger.schema import LedgerTooNew
        from mapillary_crawler.terminal.json_lines import line

        if places.is_locked(folder):
            message = f"{title(folder)}: another process works on it"
            return self._refuse(folder, Outcome.LOCKED, message)
        if half := half_done(folder) or cut_words(folder):
            return self._refuse(folder, Outcome.INCOMPLETE, half)
        try:
            inventory = open_inventory(folder)
        except (NoInventory, NotFollowed) as error:
            return self._refuse(folder, Outcome.REFUSED, str(error))
        except (sqlite3.DatabaseError, LedgerTooNew) as error:
            message = f"{folder}: the ledger cannot be read: {error}"
            return self._refuse(folder, Outcome.ERROR, message)
        began = time.monotonic()
        try:
            with closing(inventory):
                verdict = self._verdict(inventory, folder, full=full)
        except sqlite3.DatabaseError as error:
            message = f"{folder}: the ledger cannot be read to its end: {error}"
            return self._refuse(folder, Outcome.ERROR, message)
        outcome = Outcome.COMPLETE if verdict.finished else Outcome.INCOMPLETE
        outcome = Outcome.ERROR if verdict.problems else outcome
        seconds = time.monotonic() - began
        if self._json:
            fields = {"collection": folder.name, "exit_code": outcome.exit_code, "error": None}
            print(line({**fields, **_figures(verdict, seconds)}), flush=True)
        else:
            print(_summary(title(folder), verdict, seconds), flush=True)
        return outcome

    def _verdict(self, inventory: Inventory, folder: Path, *, full: bool) -> Verdict:
        """Compare, naming what is wrong, with a bar where there is much to be read."""
        from mapillary_crawler.archive.read_ledger import title
        from mapillary_crawler.archive.verify.verification import Verification, bytes_below
        from mapillary_crawler.terminal.json_lines import line
        from mapillary_crawler.terminal.work_display import WorkDisplay, work_display

        total, name = bytes_below(folder) if full else 0, title(folder)
        with work_display() if total else WorkDisplay() as shown:
            shown.begin("verifying", 1, total)
            shown.begin_file(name, total)

            def say(kind: str, message: object) -> None:
                fields = {"collection": folder.name, kind: str(message)}
                shown.say(line(fields) if self._json else f"{name}/{message}")

            return Verification(
                inventory,
                full=full,
                report=lambda problem: say("problem", problem),
                note=lambda note: say("note", note),
                advance=shown.advance,
                walk=self.configuration().jpeg_walk,
            ).run()


def _figures(verdict: Verdict | None, seconds: float | None) -> dict[str, Any]:
    """Return what came of a verification as JSON can hold it, null where there was none."""
    from mapillary_crawler.terminal.json_lines import counts

    return {
        "finished": verdict and verdict.finished,
        "problems": verdict and verdict.problems,
        "files": verdict and verdict.files,
        "bytes": verdict and verdict.bytes,
        "elsewhere": verdict and verdict.elsewhere,
        "seconds": seconds and round(seconds, 1),
        **counts(verdict.balance if verdict else None),
    }


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
