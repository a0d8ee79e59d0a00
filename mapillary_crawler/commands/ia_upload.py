"""`scrapy ia_upload`: puts finished collections on archive.org."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection.outcome import (
    ArgumentRefused,
    Outcome,
    ProjectError,
    end_of_run,
    worst,
)
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.collection.places import Places


class Command(ProjectCommand):
    """Looks at all collections first, then uploads and verifies one after another."""

    default_settings = DEFAULTS
    prints = False
    usage = "COLLECTION... [--dry-run] [--delete-after-verify] [-a quality=QUALITY]"
    summary = "Upload finished collections to archive.org and verify them there"
    about = (
        "Uploads finished collections (folders, their names or users') to archive.org, each\n"
        "as one item or, where it is too large, as volumes by date. Goes on where it was\n"
        "after an interruption, waits for archive.org's tasks, and compares md5 and size of\n"
        "every file with what archive.org says before it calls a collection verified. One that\n"
        "is refused stops none of the others."
    )
    epilog = f"""\
Examples:

  {program_name()} ia_upload --dry-run mapillary_data/mapillary-alice-original
  {program_name()} ia_upload mapillary-alice-original
  {program_name()} ia_upload --delete-after-verify mapillary-alice-original mapillary-bob-2048

Keys for archive.org (https://archive.org/account/s3.php) are read from the environment variables
IA_ACCESS_KEY_ID and IA_SECRET_ACCESS_KEY, from the file that IA_CONFIG_FILE names, or from where
`ia configure` puts them; never from the command line. To try it: -s IA_COLLECTION=test_collection

Exit codes: 0 uploaded and verified, 1 unexpected error, 2 refused, 3 not verified (run it again),
4 interrupted, 5 keys refused, 6 disk full, 7 archive.org stayed unavailable, 9 another process
works on it. Of several collections the worst counts, the first of 1, 2, 9, 4, 5, 6, 7, 3.
"""
    interrupted = "interrupted; run the same command again to go on"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="check, and say what would be uploaded"
        )
        parser.add_argument(
            "--delete-after-verify",
            action="store_true",
            help="remove local tars once they are verified",
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Upload, and set the exit code."""
        from mapillary_crawler.archive.internet_archive.finished_collection import (
            FinishedCollection,
        )
        from mapillary_crawler.archive.internet_archive.uploads import Uploads
        from mapillary_crawler.terminal.work_display import Lines, work_display

        if not args:
            raise ArgumentRefused(f"say which collection: {program_name()} ia_upload COLLECTION")
        options = read_options(self.given_settings)
        folders = self._usable(self.places(), args, quality_of(opts))
        if not folders:
            return
        with work_display(Lines) as shown:
            uploads = Uploads(options, shown, self._failed, anonymous=opts.dry_run)
            for folder in folders:
                with self._judged(), FinishedCollection.opened(folder) as collection:
                    if opts.dry_run:
                        uploads.rehearse(collection)
                    else:
                        uploads.upload(collection, remove=opts.delete_after_verify)

    def _usable(self, places: Places, args: Sequence[str], quality: str | None) -> list[Path]:
        """Return the folders that could be uploaded now; of each other one, say why not.

        None of them stays open: there may be more than a process can have open at once.
        """
        from mapillary_crawler.archive.internet_archive.finished_collection import (
            FinishedCollection,
        )

        folders: dict[Path, None] = {}
        for name in dict.fromkeys(args):
            with self._judged():
                folder = places.find(name, quality)
                with FinishedCollection.opened(folder):
                    folders[folder] = None
        return list(folders)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Let what is wrong with one collection stop none of the others.

        That archive.org stays away does: it would from the next one, too.
        """
        try:
            yield
        except (ProjectError, OSError, sqlite3.Error) as error:
            end = end_of_run(error)
            if end.outcome is Outcome.SERVICE_AWAY:
                raise
            self._failed(end.outcome, str(end))

    def _failed(self, outcome: Outcome, message: str) -> None:
        """Say what went wrong; the worst of it decides the exit code."""
        self.say(message)
        self.exitcode = worst((self.exitcode, outcome.exit_code))
