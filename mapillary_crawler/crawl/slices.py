"""The whole of a collection that is cut, or is to be: what a run on it does, and what it leaves."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from mapillary_crawler import __version__
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.reading import slices_of, whole_balance
from mapillary_crawler.collection.outcome import EndOfRun, Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SliceState

if TYPE_CHECKING:
    from mapillary_crawler.crawl.open_collection import OpenCollection


def may_be_cut(opened: OpenCollection, ledger: Ledger) -> bool:
    """Say whether a run is to end here, and what is wanted still to be cut into slices.

    Asked once all is listed. What goes to archive.org as it comes, and an update, are not cut.
    """
    asked = opened.arguments
    if not asked.cut or asked.upload or asked.update or opened.plan:
        return False
    return ledger.slices.may_be_cut(opened.configuration.slice_images)


def cut(opened: OpenCollection, ledger: Ledger) -> EndOfRun:
    """Cut into slices, when nothing is on its way any more; return what is to be said of it.

    What is cut already stays so.
    """
    if not opened.renews:
        _cut(opened, ledger)
    count = len(ledger.slices.all())
    return EndOfRun(Outcome.CUT, _words(ledger.images.balance().listed, count))


def _cut(opened: OpenCollection, ledger: Ledger) -> None:
    ledger.gone.start_run()
    fixed = {"tar_max_bytes": opened.tar_max_bytes} if opened.tar else {}
    ledger.slices.cut(opened.configuration.slice_images, __version__, **fixed)


def refuse_open_slices(opened: OpenCollection) -> None:
    """Raise `Refused` where this run is to leave open slices to others.

    With cut=1 while there is any, unless one waits for URLs, which this run then renews; and a plan
    in any case, since it would fetch what is a slice's. What another version has cut nobody can
    crawl in slices here: this run takes it back, to be cut anew.
    """
    if not (opened.arguments.cut or opened.plan):
        return
    with closing(read_ledger(opened.folder, locked=True)) as ledger:
        slices = slices_of(opened.folder, ledger)
        if all(part.state is SliceState.MERGED for part in slices):
            return
        words = f"{opened.title}: {_words(ledger.images.balance().listed, len(slices))}"
        if opened.plan:
            balance = whole_balance(opened.folder, ledger)
            raise Refused(Outcome.PLANNED, f"{words}: {balance}; crawl it to go on")
        version = ledger.slices.version
    open_ones = [part for part in slices if part.state is SliceState.OPEN]
    if not open_ones or opened.arguments.upload or opened.arguments.update:
        return
    if version != __version__:
        return
    opened.renews = any(part.wants_urls for part in open_ones)
    if not opened.renews:
        raise Refused(Outcome.CUT, words)


def _words(listed: int, slices: int) -> str:
    return f"listed {listed:,} images; cut into {slices:,} slice{'s' * (slices != 1)}"
