"""`scrapy adopt`: takes over a collection that mapillary_downloader made."""

from __future__ import annotations

import argparse
import os
import shlex
import sqlite3
from functools import partial
from pathlib import Path

from scrapy.commands import ScrapyCommand
from scrapy.settings import Settings

from mapillary_crawler.archive.adopt.adoption import adopt
from mapillary_crawler.archive.adopt.foreign_folder import collection_of
from mapillary_crawler.collection.configuration import Configuration, read_configuration
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import ADOPTED
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import (
    ArgumentRefused,
    DiskFull,
    Outcome,
    Refused,
    is_disk_full,
)
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.terminal.command import (
    KeepsLines,
    end,
    refuse,
    refuse_errors,
    refuse_options,
    say,
)
from mapillary_crawler.terminal.work_display import work_display

_EPILOG = """\
Example:

  scrapy adopt ~/mapillary_data/mapillary-alice-original
  scrapy crawl user -a username=alice -a quality=original

What was found missing or unreadable is in .crawl/adoption.jsonl of the collection, by name.

Exit codes: 0 adopted, 1 unexpected error, 2 refused, 4 interrupted (run it again), 9 another
process works on it.
"""


class Command(ScrapyCommand):
    """Looks at every image and moves the folder to where a crawl completes it."""

    requires_crawler_process = False

    def syntax(self) -> str:
        """Return the usage behind the command's name."""
        return "FOLDER"

    def short_desc(self) -> str:
        """Return the line of `scrapy -h`."""
        return "Take over a collection that mapillary_downloader made"

    def long_desc(self) -> str:
        """Return the first paragraph of `-h`."""
        return (
            "Takes over a folder that mapillary_downloader made: decodes every image, writes\n"
            "ledger, checksums and metadata, tells what that tool lost, and moves the folder to\n"
            "where `scrapy crawl user` completes it. No tar is changed; what is missing comes as\n"
            "new ones."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add nothing but the examples."""
        super().add_options(parser)
        refuse_errors(parser, "adopt")
        parser.formatter_class = KeepsLines
        parser.epilog = _EPILOG

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Adopt the folder, and set the exit code."""
        refuse_options("adopt", args)
        if len(args) != 1:
            refuse("adopt", "say which folder, one: scrapy adopt FOLDER")
        assert isinstance(self.settings, Settings)
        try:
            configuration = read_configuration(self.settings, os.environ)
            self._adopt(Path(args[0]).absolute(), configuration)
        except ArgumentRefused as refused:
            refuse("adopt", refused)
        except Refused as refused:
            end("adopt", refused.outcome, refused)
        except DiskFull as error:
            end("adopt", Outcome.DISK_FULL, error)
        except NotFollowed as error:
            refuse("adopt", f"{error}; look at it, and move it away")
        except KeyboardInterrupt:
            end("adopt", Outcome.INTERRUPTED, "interrupted; run the same command again")
        except (sqlite3.DatabaseError, LedgerTooNew) as error:
            refuse("adopt", f"the ledger of {args[0]} cannot be read: {error}")
        except OSError as error:
            outcome = Outcome.DISK_FULL if is_disk_full(error) else Outcome.ERROR
            end("adopt", outcome, f"{error.filename or args[0]}: {error.strerror}")

    def _adopt(self, path: Path, configuration: Configuration) -> None:
        collection = collection_of(path)
        configuration.staging.mkdir(parents=True, exist_ok=True)
        lock = Lock({configuration.store, configuration.staging}, collection.name)
        try:
            if (configuration.store / collection.name) not in {path, path.resolve()} and (
                configuration.store / collection.name
            ).exists():
                raise Refused(
                    Outcome.REFUSED,
                    f"{configuration.store / collection.name} exists; move it away first",
                )
            with work_display() as shown:
                target, balance, lost = adopt(
                    path,
                    configuration.staging,
                    partial(say, "adopt"),
                    shown,
                    walk=configuration.jpeg_walk,
                )
        finally:
            lock.release()
        print(f"Adopted as {target}: {balance}")
        for line in lost:
            print(f"  {line}")
        if any((target / ADOPTED).glob("*.tar")):
            print(
                f"Its tars that are not of days were unpacked; they lie in {target / ADOPTED} and "
                "are needed no more once scrapy verify finds the finished collection whole"
            )
        print(f"Complete it with: {_command(collection)}")


def _command(collection: Collection) -> str:
    """Return the crawl that completes a collection."""
    words = ["scrapy", "crawl", "user", "-a", f"username={collection.username}"]
    words += ["-a", f"quality={collection.quality}"]
    if collection.webp:
        words += ["-a", "webp=1"]
    return shlex.join(words)
