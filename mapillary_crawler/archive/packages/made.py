"""What a crawl has made of what was taken from the shared folder."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mapillary_crawler.archive.packages.handed_out import HandedOut
from mapillary_crawler.archive.packages.names import Kind, Package
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.records import Slice


def balance_of(folder: Path) -> Balance | None:
    """Return what has become of a slice's images; None where it has no ledger yet."""
    if not (folder.is_dir() and descent.is_file(folder, str(LEDGER_PATH))):
        return None
    with closing(read_ledger(folder)) as ledger:
        return ledger.images.balance()


def made_of(folder: Path, handed: HandedOut, part: Slice, before: Balance | None) -> Package | None:
    """Return which package a slice's folder is to be; None where nothing has changed.

    `before` is its balance as it was taken, None where that is not known.
    """
    balance = balance_of(folder)
    if balance is None:
        return None
    with closing(read_ledger(folder)) as ledger:
        slices = ledger.slices
        ended, waits, begun = slices.ended is not None, slices.wants_urls, slices.begun
    if ended:
        return Package(Kind.ENDED, part.number)
    is_more = balance != (before or begun)
    return next_open(handed, part, waits=waits) if waits or is_more else None


def next_open(handed: HandedOut, part: Slice, *, waits: bool) -> Package:
    """Return the package of a slice that has not ended, and goes on elsewhere."""
    before = handed.packages.get(part.number)
    version = before.version + 1 if before else 0
    return Package(Kind.OPEN, part.number, version, handed.whole.version if waits else None)


def renewals(folder: Path) -> int:
    """Return how often the URLs of a whole were renewed."""
    with closing(read_ledger(folder)) as ledger:
        return ledger.slices.renewed
