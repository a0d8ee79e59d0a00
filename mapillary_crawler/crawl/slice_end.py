"""The end of a slice: its days are sealed as far as they are done, and no manifest is written."""

from __future__ import annotations

from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.sealing import Sealing
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerAccess


def conclude_slice(
    access: LedgerAccess, opened: OpenCollection, sealing: Sealing | None
) -> EndOfRun:
    """Note that a slice has ended, where its crawl ended by itself; return how.

    What failed is tried again in the whole's ledger. A day of which an image failed, or that only
    the whole can seal, comes with loose images.
    """
    if sealing and sealing.trouble:
        return EndOfRun(Outcome.ERROR, sealing.trouble)
    if sealing and sealing.lacks_room:
        return EndOfRun(Outcome.DISK_FULL, "the disk has no room for a tar")
    opened.balance = access.wait_for(lambda ledger: ledger.images.balance())
    if opened.balance.left:
        return EndOfRun(Outcome.INTERRUPTED, f"{opened.balance.left:,} images were not tried")
    has_failed = opened.balance.unsettled > 0
    outcome = Outcome.SLICE_INCOMPLETE if has_failed else Outcome.SLICE_COMPLETE
    access.wait_for(lambda ledger: _end(ledger, outcome))
    return EndOfRun(outcome, "")


def _end(ledger: Ledger, outcome: Outcome) -> None:
    ledger.slices.set_ended(outcome.exit_code)
