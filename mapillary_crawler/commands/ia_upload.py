"""`scrapy ia_upload`: puts finished collections on archive.org."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, ProjectError
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
    from mapillary_crawler.collection.places import Places


class Command(ProjectCommand):
    """Checks all collections first, then uploads and verifies one after another."""

    default_settings = DEFAULTS
    prints = False
    usage = "COLLECTION... [--dry-run] [--delete-after-verify] [-a quality=QUALITY]"
    summary = "Upload finished collections to archive.org and verify them there"
    about = (
        "Uploads finished collections (folders, their names or users') to archive.org, each\n"
        "as one item or, where it is too large, as volumes by date. Goes on where it was\n"
        "after an interruption, waits for archive.org's tasks, and compares md5 and size of\n"
        "every file with what archive.org says before it calls a collection verified."
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
works on it.
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
        from mapillary_crawler.archive.internet_archive.uploads import Uploads, check
        from mapillary_crawler.terminal.work_display import Lines, work_display

        if not args:
            raise ArgumentRefused(f"say which collection: {program_name()} ia_upload COLLECTION")
        options, places = read_options(self.given_settings), self.places()
        with ExitStack() as stack, work_display(Lines) as shown:
            collections = self._opened(stack, places, args, quality_of(opts))
            if self.exitcode:
                return
            check(collections, shown)
            uploads = Uploads(options, shown, self._failed, anonymous=opts.dry_run)
            for collection in collections:
                if opts.dry_run:
                    uploads.rehearse(collection)
                else:
                    uploads.upload(collection, remove=opts.delete_after_verify)

    def _opened(
        self, stack: ExitStack, places: Places, args: Sequence[str], quality: str | None
    ) -> list[FinishedCollection]:
        """Open all collections; of each that cannot be uploaded, say why."""
        from mapillary_crawler.archive.internet_archive.finished_collection import (
            FinishedCollection,
        )

        collections = {}
        for name in dict.fromkeys(args):
            try:
                folder = places.find(name, quality)
                if folder not in collections:
                    opened = stack.enter_context(FinishedCollection.opened(folder))
                    collections[folder] = opened
            except ProjectError as error:
                self._failed(error.outcome, str(error))
        return list(collections.values())

    def _failed(self, outcome: Outcome, message: str) -> None:
        """Say what went wrong, and let the first such thing decide the exit code."""
        self.say(message)
        self.exitcode = self.exitcode or outcome.exit_code
