"""`scrapy ia_upload`: puts finished collections on archive.org."""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.settings import Settings

from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
from mapillary_crawler.archive.internet_archive.options import DEFAULTS, Options, read_options
from mapillary_crawler.archive.internet_archive.presence import RemoteItem
from mapillary_crawler.archive.internet_archive.removed import NotRemoved, remove_tars
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import Denied, OutOfPatience, Trouble
from mapillary_crawler.archive.internet_archive.upload import (
    UnreadableFile,
    Upload,
    plan,
    refuse_item,
    volumes_of,
)
from mapillary_crawler.archive.internet_archive.verified import NotVerified, UploadVerification
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.collection.places import Places
from mapillary_crawler.terminal.command import (
    KeepsLines,
    read_places,
    refuse,
    refuse_errors,
    refuse_options,
    say,
)
from mapillary_crawler.terminal.quantities import size
from mapillary_crawler.terminal.work_display import Lines, WorkDisplay, work_display

if TYPE_CHECKING:
    from mapillary_crawler.archive.internet_archive.session import ArchiveOrg

_EPILOG = """\
Examples:

  scrapy ia_upload --dry-run mapillary_data/mapillary-alice-original
  scrapy ia_upload mapillary-alice-original
  scrapy ia_upload --delete-after-verify mapillary-alice-original mapillary-bob-2048

Keys for archive.org (https://archive.org/account/s3.php) are read from the environment variables
IA_ACCESS_KEY_ID and IA_SECRET_ACCESS_KEY, from the file that IA_CONFIG_FILE names, or from where
`ia configure` puts them; never from the command line. To try it: -s IA_COLLECTION=test_collection

Exit codes: 0 uploaded and verified, 1 unexpected error, 2 refused, 3 not verified (run it again),
4 interrupted, 5 keys refused, 7 archive.org stayed unavailable, 9 another process works on it.
"""


class Command(ScrapyCommand):
    """Checks all collections first, then uploads and verifies one after another."""

    requires_crawler_process = False
    default_settings = DEFAULTS

    def syntax(self) -> str:
        """Return the usage behind the command's name."""
        return "COLLECTION... [--dry-run] [--delete-after-verify]"

    def short_desc(self) -> str:
        """Return the line of `scrapy -h`."""
        return "Upload finished collections to archive.org and verify them there"

    def long_desc(self) -> str:
        """Return the first paragraph of `-h`."""
        return (
            "Uploads finished collections (folders, or names in the store) to archive.org, each\n"
            "as one item or, where it is too large, as volumes by date. Goes on where it was\n"
            "after an interruption, waits for archive.org's tasks, and compares md5 and size of\n"
            "every file with what archive.org says before it calls a collection verified."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        refuse_errors(parser, "ia_upload")
        parser.formatter_class = KeepsLines
        parser.epilog = _EPILOG
        parser.add_argument(
            "--dry-run", action="store_true", help="check, and say what would be uploaded"
        )
        parser.add_argument(
            "--delete-after-verify",
            action="store_true",
            help="remove local tars once they are verified",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Upload, and set the exit code."""
        refuse_options("ia_upload", args)
        if not args:
            refuse("ia_upload", "say which collection: scrapy ia_upload COLLECTION")
        assert isinstance(self.settings, Settings)
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            options = read_options(self.settings)
            places = read_places(self.settings, os.environ)
            with ExitStack() as stack, work_display(Lines) as shown:
                collections = self._opened(stack, places, args)
                if self.exitcode:
                    return
                _check(collections, shown)
                self._run(options, opts, collections, shown)
        except ArgumentRefused as refused:
            self._end(Outcome.REFUSED, str(refused))
        except Refused as refused:
            self._end(refused.outcome, str(refused))
        except (OSError, sqlite3.Error) as error:
            self._end(Outcome.ERROR, f"the collection cannot be worked on: {error}")
        except KeyboardInterrupt:
            self._end(Outcome.INTERRUPTED, "interrupted; run the same command again to go on")

    def _opened(
        self, stack: ExitStack, places: Places, args: Sequence[str]
    ) -> list[FinishedCollection]:
        """Open all collections; of each that cannot be uploaded, say why."""
        collections = {}
        for name in dict.fromkeys(args):
            try:
                folder = places.find(name)
                if folder not in collections:
                    opened = stack.enter_context(FinishedCollection.opened(folder))
                    collections[folder] = opened
            except ArgumentRefused as refused:
                self._end(Outcome.REFUSED, str(refused))
            except Refused as refused:
                self._end(refused.outcome, str(refused))
        return list(collections.values())

    def _run(
        self,
        options: Options,
        opts: argparse.Namespace,
        collections: Sequence[FinishedCollection],
        shown: WorkDisplay,
    ) -> None:
        # Imported here, since a session patches the process's sockets.
        from mapillary_crawler.archive.internet_archive.session import (  # noqa: PLC0415
            ArchiveOrg,
            CredentialsMissing,
        )

        try:
            archive = ArchiveOrg(
                options.url, options.s3_url, timeout=options.timeout, anonymous=opts.dry_run
            )
        except CredentialsMissing as missing:
            raise Refused(Outcome.REFUSED, str(missing)) from None
        for collection in collections:
            if opts.dry_run:
                _rehearse(collection, options, archive, shown)
            else:
                self._upload(collection, options, archive, shown, remove=opts.delete_after_verify)

    def _upload(
        self,
        collection: FinishedCollection,
        options: Options,
        archive: ArchiveOrg,
        shown: WorkDisplay,
        *,
        remove: bool,
    ) -> None:
        """Upload and verify one collection, and remove its tars here if that was asked for."""
        retry = Retry(options.retry_wait, options.patience, shown.say)
        upload = Upload(collection, archive, retry, shown)
        verification = UploadVerification(
            archive, retry, shown, upload.send, collection.note_uploader
        )
        try:
            volumes = volumes_of(collection, options)
            upload.run(volumes)
            for volume in volumes:
                verification.run(volume)
                shown.say(
                    f"{options.url}/details/{volume.identifier} verified: "
                    f"{len(volume.pieces)} files, {size(volume.size)}, "
                    f"{volume.images:,} images"
                )
            if remove:
                removed = remove_tars(collection, archive, retry, volumes)
                shown.say(f"{collection.identifier}: {removed} local tars removed")
        except (NotVerified, NotRemoved) as trouble:
            self._end(Outcome.INCOMPLETE, str(trouble))
        except OutOfPatience as trouble:
            raise Refused(
                Outcome.SERVICE_AWAY, f"{trouble}; run the same command again to go on"
            ) from None
        except Denied as denied:
            self._end(*_denial(collection, denied))
        except (Trouble, UnreadableFile) as trouble:
            self._end(Outcome.ERROR, f"{collection.identifier}: {trouble}")

    def _end(self, outcome: Outcome, message: str) -> None:
        """Say what went wrong, and let the first such thing decide the exit code."""
        say("ia_upload", message)
        self.exitcode = self.exitcode or outcome.exit_code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check(collections: Sequence[FinishedCollection], shown: WorkDisplay) -> None:
    """Compare what is to be sent of all collections with its checksums, before it is sent."""
    size = sum(collection.unsent for collection in collections)
    shown.begin("checking", len(collections), size)
    for collection in collections:
        shown.begin_file(collection.identifier, collection.unsent)
        collection.check(shown.advance)
        shown.end_file()


def _rehearse(
    collection: FinishedCollection, options: Options, archive: ArchiveOrg, shown: WorkDisplay
) -> None:
    """Say what an upload would do."""
    with collection.rehearsal():
        for volume in volumes_of(collection, options):
            item = None
            try:
                item = RemoteItem(archive.metadata(volume.identifier))
            except Trouble as trouble:
                shown.say(f"archive.org could not be asked for {volume.identifier}: {trouble}")
            else:
                refuse_item(item, volume)
            for line in plan(volume, item):
                shown.say(line)


def _denial(collection: FinishedCollection, denied: Denied) -> tuple[Outcome, str]:
    outcome = Outcome.TOKEN_REFUSED if denied.status in {401, 403} else Outcome.REFUSED
    if denied.explained or outcome is Outcome.REFUSED:
        return outcome, f"{collection.identifier}: archive.org refused it: {denied}"
    return outcome, (
        f"{collection.identifier}: archive.org refused these keys ({denied}): they are wrong, the "
        "item is another account's, or only members may put items into its collection; "
        "IA_COLLECTION names another"
    )
