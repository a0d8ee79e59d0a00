"""`scrapy adopt`: takes over a collection that mapillary_downloader made."""

from __future__ import annotations

import argparse
import shlex
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import ADOPTED
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused, is_disk_full
from mapillary_crawler.collection.probes import require_shared_memory
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.collection.configuration import Configuration
    from mapillary_crawler.collection.names import Collection


class Command(ProjectCommand):
    """Looks at every image and moves the folder to where a crawl completes it."""

    prints = False
    usage = "FOLDER"
    summary = "Take over a collection that mapillary_downloader made"
    about = (
        "Takes over a folder that mapillary_downloader made: decodes every image, writes\n"
        "ledger, checksums and metadata, tells what that tool lost, and moves the folder to\n"
        "where a crawl completes it. No tar is changed; what is missing comes as new ones.\n"
        "Tars that are not of days (before 0.7) are unpacked. A folder that holds what adopt\n"
        "does not know is refused."
    )
    epilog: ClassVar[str] = f"""\
Example:

  {program_name()} adopt ~/mapillary_data/mapillary-alice-original
  {program_name()} crawl user -a username=alice -a quality=original

What was found missing or unreadable is in .crawl/adoption.jsonl of the collection, by name.

Exit codes: 0 adopted, 1 unexpected error, 2 refused, 4 interrupted (run it again), 6 disk full,
9 another process works on it.
"""
    interrupted = "interrupted; run the same command again"

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Adopt the folder."""
        from mapillary_crawler.ledger.schema import LedgerTooNew
        from mapillary_crawler.ledger.trouble import LedgerTrouble

        if len(args) != 1:
            raise ArgumentRefused(f"say which folder, one: {program_name()} adopt FOLDER")
        try:
            self._adopt(Path(args[0]).absolute(), self.configuration())
        except NotFollowed as error:
            raise Refused(Outcome.REFUSED, f"{error}; look at it, and move it away") from None
        except LedgerTrouble:
            raise
        except (sqlite3.DatabaseError, LedgerTooNew) as error:
            if is_disk_full(error):
                raise
            message = f"the ledger of {args[0]} cannot be read: {error}"
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


def _completion(collection: Collection) -> str:
    """Return the crawl that completes a collection."""
    words = ["crawl", "user", "-a", f"username={collection.username}"]
    words += ["-a", f"quality={collection.quality}"]
    for name, chosen in (("webp", collection.webp), ("jxl", collection.jxl)):
        if chosen:
            words += ["-a", f"{name}=1"]
    return f"{program_name()} {shlex.join(words)}"
