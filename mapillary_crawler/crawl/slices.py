"""The whole of a collection that is cut, or is to be: what a run on it does, and what it leaves."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mapillary_crawler import __version__
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.merging import merge_ended
from mapillary_crawler.archive.slices.reading import own_tars, slices_of, whole_balance
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import EndOfRun, Outcome, Refused
from mapillary_crawler.crawl.slice_room import SliceRoom
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import HERE, SliceState

if TYPE_CHECKING:
    from mapillary_crawler.crawl.open_collection import OpenCollection


def lists_for_slices(opened: OpenCollection, ledger: Ledger) -> bool:
    """Say whether a run lists for slices: what is wanted may be cut once all is listed."""
    asked = opened.arguments
    return asked.cut and not (asked.update or opened.plan) and ledger.slices.is_plain


def may_be_cut(opened: OpenCollection, ledger: Ledger) -> bool:
    """Say whether a run is to end here, and what is wanted still to be cut into slices.

    Asked once all is listed. An update is not cut.
    """
    if not lists_for_slices(opened, ledger):
        return False
    size = _size(opened, ledger)
    return size is not None and ledger.slices.may_be_cut(size)


def _size(opened: OpenCollection, ledger: Ledger) -> int | None:
    """Return about how many images a slice is to have, None where there is no room for slices."""
    if opened.arguments.remove:
        return room_of(opened).size(ledger)
    return opened.configuration.slice_images


def room_of(opened: OpenCollection) -> SliceRoom:
    """Return the room of the slices of a collection, whose upload removes what archive.org has."""
    return SliceRoom(opened.folder, opened.configuration, opened.collection.quality)


def cut(opened: OpenCollection, ledger: Ledger) -> EndOfRun:
    """Cut into slices, when nothing is on its way any more; return what is to be said of it.

    What is cut already stays so.
    """
    if not (opened.renews or opened.gathers):
        _cut(opened, ledger)
    count = len(ledger.slices.all())
    return EndOfRun(Outcome.CUT, _words(ledger.images.balance().listed, count))


def _cut(opened: OpenCollection, ledger: Ledger) -> None:
    ledger.gone.start_run()
    fixed = {"tar_max_bytes": opened.tar_max_bytes} if opened.tar else {}
    size = _size(opened, ledger) or opened.configuration.slice_images
    ledger.slices.cut(size, __version__, **fixed)


def refuse_open_slices(opened: OpenCollection) -> None:
    """Raise `Refused` where this run is to leave open slices to others.

    With cut=1 while there is any, unless one waits for URLs, which this run then renews, or an
    upload wants what others have ended with, which this run then gathers; and a plan in any case,
    since it would fetch what is a slice's. What another version has cut nobody can crawl in slices
    here: this run takes it back, to be cut anew.
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
    if not open_ones or opened.arguments.update or version != __version__:
        return
    opened.renews = any(part.wants_urls for part in open_ones)
    opened.gathers = opened.arguments.upload
    if not (opened.renews or opened.gathers):
        raise Refused(Outcome.CUT, words)


def gather(opened: OpenCollection, places: AbstractSet[Path]) -> bool:
    """Merge the slices that have ended; return whether the open ones are left to others.

    They are not where the first of them has no room though nothing waits to make any, and nobody
    is at work on one: then this run is to take all of them back, and goes on by itself.
    """
    merge_ended(opened.ledger, opened.folder, places)
    if opened.renews or not opened.arguments.remove:
        return True
    in_vain = opened.ledger.wait_for(partial(_lacks_for_good, opened))
    if not in_vain or not _nobody_works(opened, places):
        return True
    opened.ledger.wait_for(lambda ledger: ledger.slices.set_not_cut())
    return False


def _lacks_for_good(opened: OpenCollection, ledger: Ledger) -> bool:
    """Say whether the first slice has no room, and nothing is here that archive.org is to get."""
    waits = any(piece.state in HERE for piece in own_tars(ledger))
    return not waits and room_of(opened).lacks(ledger)


def _nobody_works(opened: OpenCollection, places: AbstractSet[Path]) -> bool:
    """Say whether no process works on a slice."""
    for part in opened.ledger.wait_for(lambda ledger: ledger.slices.unmerged()):
        try:
            Lock(set(places), slice_folder(opened.folder, part.number).name).release()
        except Refused:
            return False
    return True


def balance_of(opened: OpenCollection, ledger: Ledger) -> Balance:
    """Return the balance of what a run works on, the slices that are left to others included."""
    if opened.renews or opened.gathers:
        return whole_balance(opened.folder, ledger)
    return ledger.images.balance()


def _words(listed: int, slices: int) -> str:
    return f"listed {listed:,} images; cut into {slices:,} slice{'s' * (slices != 1)}"
