"""The whole of a collection that is cut, or is to be: what a run on it does, and what it leaves."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from mapillary_crawler import __version__
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.reading import read_slices
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
    """Cut into slices, when nothing is on its way any more; return what is to be said of it."""
    ledger.gone.start_run()
    fixed = {"tar_max_bytes": opened.tar_max_bytes} if opened.tar else {}
    count = ledger.slices.cut(opened.configuration.slice_images, __version__, **fixed)
    return EndOfRun(Outcome.CUT, _words(ledger.images.balance().listed, count))


def refuse_open_slices(opened: OpenCollection) -> None:
    """Raise `Refused` where this run is to leave open slices to others.

    With cut=1 while there is any, and a plan in any case, since it would fetch what is a slice's.
    """
    if not (opened.arguments.cut or opened.plan):
        return
    slices = read_slices(opened.folder)
    if not slices or all(part.state is SliceState.MERGED for part in slices):
        return
    is_open = any(part.state is SliceState.OPEN for part in slices)
    with closing(read_ledger(opened.folder, locked=True)) as ledger:
        listed = ledger.images.balance().listed
    words = _words(listed, len(slices))
    if opened.plan:
        raise Refused(Outcome.PLANNED, f"{opened.title}: {words}; crawl it to go on")
    if is_open and not (opened.arguments.upload or opened.arguments.update):
        raise Refused(Outcome.CUT, f"{opened.title}: {words}")


def _words(listed: int, slices: int) -> str:
    return f"listed {listed:,} images; cut into {slices:,} slice{'s' * (slices != 1)}"
