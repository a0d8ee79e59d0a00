"""`scrapy page`: the page and the tracks of a collection that was finished without them."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from mapillary_crawler.collection.layout import LEDGER_PATH, PAGE, TRACKS, VIEWS
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

#: Files that are missing, and named one by one.
_NAMED = 20


class Command(ProjectCommand):
    """Works on the collection in its place, which is whole at every instant."""

    usage = "COLLECTION [-a quality=QUALITY]"
    summary = "Make the page of a finished collection: index.html"
    about = (
        "Makes index.html, a page with a map, months, cameras and pictures that asks nobody for\n"
        "anything, and sequences.geojson, of a finished collection that has none: it was finished\n"
        "by an earlier version, or with page=0. Finishes and updates make both by themselves.\n"
        "Nothing is asked of any service; tars may be gone. Those that are missing here, or cut,\n"
        "are named."
    )
    epilog = f"""\
Exit codes: 0 made, or there and as this version makes it; 1 unexpected error; 2 refused;
4 interrupted (run it again); 6 disk full; 9 another process works on it.

Examples
========

  {program_name()} page mapillary-alice-original
  {program_name()} page alice -a quality=2048
"""
    interrupted = "interrupted; run the same command again"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Make the page."""
        if len(args) != 1:
            raise ArgumentRefused(f"say which collection, one: {self.typed} COLLECTION")
        configuration = self.configuration()
        folder = self.places().find(args[0], quality_of(opts))
        lock = Lock({folder.parent, configuration.store}, folder.name)
        try:
            made = self._make(folder, configuration.staging / folder.name)
        finally:
            lock.release()
        size = " and ".join(
            f"{name} ({quantities.size((folder / name).stat().st_size)})" for name in VIEWS
        )
        print(f"{folder.name}: {size} {'made' if made else 'are as this version makes them'}")
        self._say_lost(folder)
        print(f"open {folder / PAGE}", flush=True)

    def _say_lost(self, folder: Path) -> None:
        """Name what is not here as it was made: the page, made of the ledger, cannot know that."""
        from mapillary_crawler.archive.lost_parts import lost_parts, mend_with
        from mapillary_crawler.archive.read_ledger import read_ledger

        with closing(read_ledger(folder, locked=True)) as ledger:
            lost = lost_parts(folder, ledger)
        for part in lost[:_NAMED]:
            self.say(f"{folder.name}/{part.name}: {part.what}")
        if more := len(lost[_NAMED:]):
            self.say(f"and {more:,} more")
        if lost:
            self.say(f"the page shows what was in them all the same; {mend_with(folder)}")

    def _make(self, folder: Path, staged: Path) -> bool:
        from mapillary_crawler.archive.repair.identity import collection_of
        from mapillary_crawler.archive.update.journal import finish_update
        from mapillary_crawler.archive.update.page import add_page

        finish_update(folder, staged)
        _refuse_unfinished(folder, staged)
        return add_page(folder, collection_of(folder), stop=lambda: False, say=self.say)


def _refuse_unfinished(folder: Path, staged: Path) -> None:
    """Raise `Refused` for what has no finished ledger, or is being brought up to date."""
    from mapillary_crawler.archive.lost_parts import mend_with
    from mapillary_crawler.archive.read_ledger import read_ledger
    from mapillary_crawler.collection import descent

    if not descent.is_file(folder, str(LEDGER_PATH)):
        raise Refused(Outcome.REFUSED, f"{folder} has no ledger; {mend_with(folder)}")
    with closing(read_ledger(folder, locked=True)) as ledger:
        finished = ledger.facts.get("finished_at") is not None
    if not finished or folder == staged:
        raise Refused(
            Outcome.REFUSED, f"{folder} is not finished; its crawl makes {PAGE} and {TRACKS}"
        )
    if (staged / LEDGER_PATH).exists():
        raise Refused(
            Outcome.REFUSED, f"an update of it is under way in {staged}; finish that one first"
        )
