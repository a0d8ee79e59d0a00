"""`scrapy status`: what is in staging and in the store."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name
from mapillary_crawler.terminal.quoting import printable

if TYPE_CHECKING:
    from mapillary_crawler.archive.on_archive_org import OnArchiveOrg
    from mapillary_crawler.archive.status import Overview


_NUMBERS = (
    "listed", "saved", "gone", "failed", "left", "size", "here", "archive.org", "waits",
)  # fmt: skip
_HEADINGS = ("collection", "state", *_NUMBERS[:6])
#: Where some of what is shown has gone to archive.org.
_OF_AN_UPLOAD = (*_NUMBERS[6:], "verified")
#: Where something was updated.
_UPDATED = ("updated",)


class Command(ProjectCommand):
    """Looks at ledgers; disturbs no crawl."""

    usage = "[COLLECTION...] [--failed] [--check] [--json] [-a quality=Q]"
    summary = "Show the collections in staging and in the store"
    about = (
        "Shows what collections there are: how far each is, whether a process works on it,\n"
        "what failed, its size and when something last happened; of one that goes to\n"
        "archive.org, what is here, there, and waits, and when it was verified. COLLECTION is a\n"
        "folder, a collection's name or a user's; without one, all of the staging folder and\n"
        "the store."
    )
    epilog = f"""\
Exit codes: 0, 1 for a folder that cannot be read, 2 for a wrong argument; with --check 3 where a
finished collection lacks files, by their names and sizes.

Examples
========

  {program_name()} status
  {program_name()} status alice
  {program_name()} status mapillary-alice-2048 --failed
  watch -n 60 {program_name()} status

A program reads --json, or .crawl/progress.json in the folder of a collection that is worked on.
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option of the command."""
        super().add_options(parser)
        add_quality(parser)
        parser.add_argument(
            "--failed",
            action="store_true",
            help="list images that failed, with their last error, but for accepted ones",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="end with 3 where a finished collection lacks files",
        )
        parser.add_argument(
            "--json", action="store_true", help="print JSON, one line a collection or failure"
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print a table, and what failed."""
        from mapillary_crawler.archive.lost_parts import told
        from mapillary_crawler.archive.read_ledger import title
        from mapillary_crawler.archive.status import look_at
        from mapillary_crawler.terminal.json_lines import line
        from mapillary_crawler.terminal.tables import Table

        places = self.places()
        quality = quality_of(opts)
        named = [folder for each in args for folder in places.matching(each, quality)]
        folders = list(dict.fromkeys(named)) if args else list(places.all())
        overviews = {folder: look_at(folder, places) for folder in folders}
        if opts.check and any(overview.lost for overview in overviews.values()):
            self.exitcode = Outcome.INCOMPLETE.exit_code
        if opts.json:
            for folder, overview in overviews.items():
                print(line(overview.fields()))
                if opts.failed:
                    _print_failures(folder, as_json=True)
            return
        if not folders:
            self._say_nothing_is_there()
            return
        uploaded = any(overview.archive_org for overview in overviews.values())
        updated = any(overview.updated for overview in overviews.values())
        table = Table(
            (*_HEADINGS, *(_OF_AN_UPLOAD if uploaded else ()), *_UPDATED[:updated], "active"),
            frozenset(_NUMBERS),
            spare=("active", "size", "gone", "saved", *(("here", "listed") if uploaded else ())),
            prefix="mapillary-",
        )
        table.rows += [
            (printable(title(folder)), *_row(overview, uploaded=uploaded, updated=updated))
            for folder, overview in overviews.items()
        ]
        table.print()
        for folder, overview in overviews.items():
            if overview.lost:
                print(f"{printable(title(folder))} lacks {told(overview.lost)}")
        if opts.failed:
            for folder in folders:
                _print_failures(folder, as_json=False)

    def _say_nothing_is_there(self) -> None:
        """Say where nothing is, and where something may be; raises `Refused`."""
        from mapillary_crawler.collection.known_stores import require_disks, used_before

        configuration = self.configuration()
        require_disks(configuration)
        line = f"There is no collection in {configuration.store} or {configuration.staging}"
        if other := used_before(configuration):
            line += f"; a store used before: {other}"
        print(line)


def _row(overview: Overview, *, uploaded: bool, updated: bool) -> tuple[str, ...]:
    balance = overview.balance
    counts: tuple[str, ...] = ("-",) * 6
    if balance:
        gone = balance.gone + balance.unavailable
        counts = (
            f"{balance.listed:,}{'' if overview.listing_closed else '+'}",
            *(f"{count:,}" for count in (balance.saved, gone, balance.failed, balance.left)),
            quantities.size(balance.bytes_saved),
        )
    active = "unknown"
    if overview.active_at is not None:
        active = quantities.age(time.time() - overview.active_at)
    of_upload = _upload(overview.archive_org) if uploaded else ()
    of_update = ("-",)
    if overview.updated:
        of_update = (quantities.age(time.time() - overview.updated.at),)
    return overview.state, *counts, *of_upload, *of_update[:updated], active


def _upload(uploaded: OnArchiveOrg | None) -> tuple[str, ...]:
    """Return what is here, what is on archive.org, what waits, and when it was verified."""
    if uploaded is None:
        return ("-",) * 4
    verified = "not yet"
    if uploaded.verified_at is not None:
        verified = quantities.age(time.time() - uploaded.verified_at)
    sizes = (uploaded.here, uploaded.size, uploaded.waiting)
    return *map(quantities.size, sizes), verified


def _print_failures(folder: Path, *, as_json: bool) -> None:
    from mapillary_crawler.archive.read_ledger import title
    from mapillary_crawler.archive.status import failures
    from mapillary_crawler.terminal.json_lines import line

    with suppress(Exception):  # the table says so
        for image_id, error, attempts in failures(folder):
            if as_json:
                found = {"image": image_id, "error": error, "attempts": attempts}
                print(line({"collection": folder.name, **found}))
                continue
            tried = f"{attempts} attempt{'s' * (attempts != 1)} in the last run"
            print(f"{printable(title(folder))}: {image_id}: {error} ({tried})")
