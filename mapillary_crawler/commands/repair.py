"""`scrapy repair`: brings back what a collection has lost, as far as what is here allows."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mapillary_crawler.collection.layout import LEDGER_PATH, TAR
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.repair.diagnosis import Diagnosis


class Command(ProjectCommand):
    """Says what it would do, and does it; deletes nothing."""

    prints = False
    usage = "COLLECTION [--dry-run] [--full] [--tar] [-a quality=QUALITY]"
    summary = "Bring back what a collection has lost: its ledger, tars, or both"
    about = (
        "Says what a collection lacks, and mends it: a ledger that is missing or cannot be\n"
        "read is made anew, of the manifests or of the images that are here; a collection\n"
        "whose tars are missing or damaged is opened again, so that its crawl fetches exactly\n"
        "what is lost. Nothing is deleted, and nothing is asked of any service."
    )
    epilog: ClassVar[str] = f"""\
Examples:

  {program_name()} repair mapillary-alice-original --dry-run
  {program_name()} repair mapillary-alice-original
  {program_name()} repair alice --tar

What cannot be read is kept: a ledger as .crawl/ledger.unreadable, a damaged tar in .crawl/kept.

Exit codes: 0 mended, or nothing to mend; 1 unexpected error; 2 refused; 3 mended as far as what is
here allows: run its crawl now, which the last line says; 4 interrupted (run it again); 6 disk full;
9 another process works on it.
"""
    interrupted = "interrupted; run the same command again"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument(
            "--full", action="store_true", help="compare every tar with its checksum, not its size"
        )
        parser.add_argument(
            "--tar", action="store_true", help="make a finished collection of tar=0 one with tars"
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Look at the collection, say what is done, and do it."""
        if len(args) != 1:
            raise ArgumentRefused(f"say which collection, one: {program_name()} repair COLLECTION")
        configuration = self.configuration()
        self._staging, self._dry, self._mended = configuration.staging, opts.dry_run, False
        folder = self.places().find(args[0], quality_of(opts))
        self._locks = {folder.parent, configuration.store}
        lock = Lock(self._locks, folder.name)
        try:
            self._repair(folder, opts)
        finally:
            lock.release()

    def _repair(self, folder: Path, opts: argparse.Namespace) -> None:
        from mapillary_crawler.archive.repair.diagnosis import LedgerState, diagnose
        from mapillary_crawler.archive.slices.reading import refuse_cut
        from mapillary_crawler.archive.update.journal import finish_update, is_half_done

        if is_half_done(folder):
            self._do(
                f"end the update of {folder.name} that is half done",
                lambda: finish_update(folder, self._staging / folder.name),
            )
        found = diagnose(folder)
        if found.ledger is LedgerState.WELL:
            refuse_cut(folder)
        else:
            self._make_ledger(folder, found)
            if self._dry:
                return
            found = diagnose(folder)
        if not (found.is_listed or found.finished):
            self._say_crawl(folder)
        elif tars := self._lost_tars(folder, found, full=opts.full):
            self._open_again(folder, tars, finished=found.finished)
        elif found.finished and (found.lost or (opts.tar and not found.tar)):
            self._finish_again(folder, found, tar=opts.tar or bool(found.tar))
        elif found.finished:
            print(f"{folder.name}: nothing {'more ' * self._mended}to mend")
        else:
            self._say_crawl(folder)

    def _do(self, words: str, work: Callable[[], object]) -> None:
        """Say what is done, and do it unless it is only to be said."""
        print(f"{'would ' * self._dry}{words}", flush=True)
        if not self._dry:
            work()
            self._mended = True

    def _make_ledger(self, folder: Path, found: Diagnosis) -> None:
        """Make a ledger of the manifests of a finished collection, else of its images."""
        from mapillary_crawler.archive.repair.from_files import ledger_from_files
        from mapillary_crawler.archive.repair.from_manifests import rebuild_from_manifests
        from mapillary_crawler.archive.slices.merging import bring_all_back
        from mapillary_crawler.terminal.work_display import work_display

        if found.finished:
            self._do(
                f"make the ledger of {folder.name}, which {found.ledger.value}, of its manifests",
                lambda: rebuild_from_manifests(folder),
            )
            return

        def look() -> None:
            bring_all_back(folder, self._locks)
            with work_display() as shown:
                files = ledger_from_files(folder, shown, walk=self.configuration().jpeg_walk)
            print(f"found {files.images:,} images that are whole")
            for name in files.refused:
                self.say(f"{name} is no whole image, and is fetched again")

        self._do(
            f"make a ledger for {folder.name}, whose own {found.ledger.value}, of the images that "
            "are here: they are kept once the crawl has listed them again",
            look,
        )

    def _lost_tars(self, folder: Path, found: Diagnosis, *, full: bool) -> list[str]:
        """Return the names of tars that are lost: by their sizes, and by their checksums."""
        from mapillary_crawler.archive.repair.diagnosis import changed_tars
        from mapillary_crawler.terminal.work_display import work_display

        tars = {part.name for part in found.lost if part.name.endswith(TAR)}
        if full:
            with work_display() as shown:
                tars |= changed_tars(folder, shown)
        return sorted(tars)

    def _open_again(self, folder: Path, tars: Sequence[str], *, finished: bool) -> None:
        """Let the images of lost tars be fetched again, in staging."""
        from mapillary_crawler.archive.repair.finished_again import to_staging
        from mapillary_crawler.archive.repair.opened_again import open_again
        from mapillary_crawler.ledger.ledger import Ledger
        from mapillary_crawler.terminal.work_display import work_display

        def work() -> None:
            target = to_staging(folder, self._staging)
            with closing(Ledger(target / LEDGER_PATH)) as ledger, work_display() as shown:
                shown.begin("taking out", len(tars), 0)
                result = open_again(target, ledger, tars, shown.advance)
            print(f"{result.kept:,} images are here, {result.wanted:,} are to be fetched again")

        where = f" in {self._staging}" if finished else ""
        self._do(
            f"open {folder.name} again{where}, whose crawl then fetches what is lost of: "
            f"{', '.join(tars)}",
            work,
        )
        self._say_crawl(folder)

    def _finish_again(self, folder: Path, found: Diagnosis, *, tar: bool) -> None:
        """Finish a collection once more."""
        from mapillary_crawler.archive.repair.finished_again import finish_again

        configuration = self.configuration()
        what = "bring its images into tars" if tar and not found.tar else "write its manifests"
        self._do(
            f"finish {folder.name} again in {self._staging}, to {what}",
            lambda: finish_again(
                folder,
                self._staging,
                tar=tar,
                tar_max_bytes=configuration.tar_max_bytes,
                stop=lambda: False,
                say=self.say,
            ),
        )

    def _say_crawl(self, folder: Path) -> None:
        """Say which crawl goes on, and that something is left for it."""
        from mapillary_crawler.archive.collection_arguments import crawl_command
        from mapillary_crawler.archive.repair.identity import crawl_arguments

        if self._dry:
            return
        place = folder if folder.exists() else self._staging / folder.name
        print(f"go on with: {crawl_command(crawl_arguments(place))}")
        self.exitcode = Outcome.INCOMPLETE.exit_code
