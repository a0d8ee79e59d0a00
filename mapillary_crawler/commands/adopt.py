"""`scrapy adopt`: takes over what mapillary_downloader made, and what archive.org has."""

from __future__ import annotations

import argparse
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import ADOPTED
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused, is_disk_full
from mapillary_crawler.collection.probes import require_shared_memory
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.from_archive_org.adoption import AdoptedItem
    from mapillary_crawler.collection.configuration import Configuration
    from mapillary_crawler.collection.names import Collection


class Command(ProjectCommand):
    """Moves a folder, or what is known of an item, to where a crawl completes it."""

    default_settings = DEFAULTS
    prints = False
    usage = "FOLDER | --item IDENTIFIER [--read-tars]"
    summary = "Take over what mapillary_downloader made or archive.org has"
    about = (
        "Takes over a folder that mapillary_downloader made: decodes every image, writes\n"
        "ledger, checksums and metadata, tells what that tool lost, and moves the folder to\n"
        "where a crawl completes it. No tar is changed; what is missing comes as new ones.\n"
        "Tars that are not of days (before 0.7) are unpacked. A folder that holds what adopt\n"
        "does not know is refused.\n\n"
        "With --item it takes over a collection that archive.org has, and fetches none of its\n"
        "tars: of this program's the manifests are enough to verify, extract and update it. An\n"
        "upload that did not come to its end goes on with the crawl and upload=1. What the tars\n"
        "of an item of mapillary_downloader hold is known only with --read-tars."
    )
    epilog: ClassVar[str] = f"""\
Example:

  {program_name()} adopt ~/mapillary_data/mapillary-alice-original
  {program_name()} crawl user -a username=alice -a quality=original
  {program_name()} adopt --item mapillary-alice-original

What was found missing or unreadable is in .crawl/adoption.jsonl of the collection, by name.

Exit codes: 0 adopted, 1 unexpected error, 2 refused, 4 interrupted (run it again), 6 disk full,
7 archive.org stayed unavailable, 9 another process works on it.
"""
    interrupted = "interrupted; run the same command again"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--item", metavar="IDENTIFIER", help="take over a collection from archive.org"
        )
        parser.add_argument(
            "--read-tars",
            action="store_true",
            help="read the tars of the item that no manifest describes, and keep nothing of them",
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Adopt the folder or the item."""
        from mapillary_crawler.ledger.schema import LedgerTooNew
        from mapillary_crawler.ledger.trouble import LedgerTrouble

        if len(args) + (opts.item is not None) != 1:
            raise ArgumentRefused(
                f"say which folder, one: {program_name()} adopt FOLDER, or which item: "
                f"{program_name()} adopt --item IDENTIFIER"
            )
        if opts.read_tars and opts.item is None:
            raise ArgumentRefused("--read-tars is for items; every image of a folder is read")
        try:
            if opts.item is not None:
                self._adopt_item(opts.item, self.configuration(), read_tars=opts.read_tars)
            else:
                self._adopt(Path(args[0]).absolute(), self.configuration())
        except NotFollowed as error:
            raise Refused(Outcome.REFUSED, f"{error}; look at it, and move it away") from None
        except LedgerTrouble:
            raise
        except (sqlite3.DatabaseError, LedgerTooNew) as error:
            if is_disk_full(error):
                raise
            message = f"the ledger of {opts.item or args[0]} cannot be read: {error}"
            raise Refused(Outcome.REFUSED, message) from None

    def _adopt(self, path: Path, configuration: Configuration) -> None:
        from mapillary_crawler.archive.adopt.adoption import adopt
        from mapillary_crawler.archive.adopt.foreign_folder import collection_of
        from mapillary_crawler.collection import known_stores
        from mapillary_crawler.collection.places import Places
        from mapillary_crawler.terminal.work_display import work_display

        collection = collection_of(path)
        places = Places(configuration.store, configuration.staging)
        known_stores.require_disks(configuration)
        places.staging.mkdir(parents=True, exist_ok=True)
        require_shared_memory(places.staging)
        lock = Lock({places.store, places.staging}, collection.name)
        try:
            there = places.store / collection.name
            if there not in {path, path.resolve()} and there.exists():
                raise Refused(Outcome.REFUSED, f"{there} exists; move it away first")
            with work_display() as shown:
                target, balance, lost = adopt(
                    path, places.staging, self.say, shown, walk=configuration.jpeg_walk
                )
        finally:
            lock.release()
        known_stores.remember(configuration)
        print(f"Adopted as {target.parent / collection.title}: {balance}")
        for line in lost:
            print(f"  {line}")
        if any((target / ADOPTED).glob("*.tar")):
            print(
                f"Its tars that are not of days were unpacked; they lie in {target / ADOPTED} "
                f"and are needed no more once {program_name()} verify finds the finished "
                "collection whole"
            )
        print(f"Complete it with: {_completion(collection)}")

    def _adopt_item(self, named: str, configuration: Configuration, *, read_tars: bool) -> None:
        from mapillary_crawler.archive.from_archive_org.adoption import adopt_item
        from mapillary_crawler.archive.from_archive_org.found_item import refuse_name
        from mapillary_crawler.archive.internet_archive.ranges import Ranges
        from mapillary_crawler.collection import known_stores
        from mapillary_crawler.collection.places import Places
        from mapillary_crawler.terminal.work_display import work_display

        identifier = named.rstrip("/").rpartition("/")[2]  # of a page's address, too
        refuse_name(identifier)
        options = read_options(self.given_settings)
        places = Places(configuration.store, configuration.staging)
        known_stores.require_disks(configuration)
        places.store.mkdir(parents=True, exist_ok=True)
        places.staging.mkdir(parents=True, exist_ok=True)
        require_shared_memory(places.staging)
        lock = Lock({places.store, places.staging}, identifier)
        source = Ranges(
            options.url,
            wait=options.retry_wait,
            patience=options.patience,
            timeout=options.timeout,
            say=self.say,
        )
        try:
            with closing(source), work_display() as shown:
                adopted = adopt_item(
                    identifier,
                    source,
                    places,
                    shown,
                    read_tars=read_tars,
                    walk=configuration.jpeg_walk,
                    say=self.say,
                )
        finally:
            lock.release()
            for folder in (places.staging, places.store):
                with suppress(OSError):  # what is empty was made for nothing
                    folder.rmdir()
        known_stores.remember(configuration)
        self._say_item(adopted)

    def _say_item(self, adopted: AdoptedItem) -> None:
        from mapillary_crawler.terminal.quantities import size

        place = adopted.folder.parent / adopted.collection.title
        print(f"Adopted as {place}: {adopted.balance}")
        if there := adopted.there:
            items = ", ".join(there.items)
            print(f"  {there.files:,} files, {size(there.size)}, are on archive.org, in {items}")
        for line in adopted.lines:
            print(f"  {line}")
        if adopted.finished:
            print(f"See that it is well with: {program_name()} verify {adopted.folder.name}")
        else:
            print(f"Complete it with: {_completion(adopted.collection)} -a upload=1")


def _completion(collection: Collection) -> str:
    """Return the crawl that completes a collection."""
    from mapillary_crawler.archive.collection_arguments import crawl_command

    kinds = {"webp": collection.webp, "jxl": collection.jxl}
    given = {"username": collection.username, "quality": collection.quality}
    return crawl_command(given | {name: "1" for name, chosen in kinds.items() if chosen})
