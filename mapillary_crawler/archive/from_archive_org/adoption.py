"""A collection from its item on archive.org: made in a hidden folder, named last.

Killed at any instant it is begun anew, and nothing else is there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.archive.finish.move import end_move, move_collection
from mapillary_crawler.archive.from_archive_org.day_pictures import take_day_pictures
from mapillary_crawler.archive.from_archive_org.found_item import (
    ItemSource,
    find_item,
    refuse_name,
    refused,
)
from mapillary_crawler.archive.from_archive_org.noted import FROM_ITEM
from mapillary_crawler.archive.from_archive_org.our_item import OurItem
from mapillary_crawler.archive.from_archive_org.their_item import TheirItem
from mapillary_crawler.archive.on_archive_org import OnArchiveOrg, on_archive_org
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.durable import exists, sync_folder
from mapillary_crawler.collection.layout import LEDGER_PATH, SCRATCH, fetching
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.places import Places
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.terminal.work_display import WorkDisplay


@dataclass(frozen=True, slots=True)
class AdoptedItem:
    """What was made of an item: where it is, whether it is finished, and lines for people."""

    collection: Collection
    folder: Path
    finished: bool
    balance: Balance
    there: OnArchiveOrg | None
    lines: list[str]


def adopt_item(
    identifier: str,
    source: ItemSource,
    places: Places,
    shown: WorkDisplay,
    *,
    read_tars: bool = False,
    walk: bool = True,
    say: Callable[[str], None],
) -> AdoptedItem:
    """Make a collection of an item, in the store if it is finished, else in staging.

    To be called under the lock of that name. `walk`: as of `judge`. Raises `Refused`, `Trouble`,
    `OSError`; then nothing is left.
    """
    refuse_name(identifier)
    target, staged = places.store / identifier, places.staging / identifier
    place = fetching(staged)
    end_move(place, target)
    _refuse_what_is_here(target, staged)
    found = find_item(identifier, source)
    descent.clear(places.staging, place.name)
    try:
        with descent.opened_folder(places.staging, f"{place.name}/{SCRATCH}", make=True):
            pass
        kind = OurItem if found.is_ours else TheirItem
        item = kind(found, source, place, shown)
        finished = item.adopt(read_tars=read_tars, walk=walk)
        with closing(Ledger(place / LEDGER_PATH)) as ledger:
            item.lines += take_day_pictures(ledger, source, shown)
        descent.clear(place, SCRATCH)
        balance, there, absent = _look(place)
        descent.clear(places.staging, staged.name)
        if finished:
            move_collection(place, target, absent=absent, stop=lambda: False, say=say)
        else:
            place.rename(staged)
            sync_folder(places.staging)
    except BaseException:
        descent.clear(places.staging, place.name)
        raise
    if found.is_busy:
        item.lines.append("archive.org still works on it: another upload may be under way")
    folder = target if finished else staged
    return AdoptedItem(item.collection, folder, finished, balance, there, item.lines)


def _look(place: Path) -> tuple[Balance, OnArchiveOrg | None, set[str]]:
    with closing(read_ledger(place, locked=True)) as ledger:
        removed = (each.name for each in ledger.pieces.all() if each.state is PieceState.REMOVED)
        return ledger.images.balance(), on_archive_org(ledger), set(removed)


def _refuse_what_is_here(target: Path, staged: Path) -> None:
    """Raise `Refused` where the collection is here, unless it is as an adoption has left it."""
    if exists(target):
        raise refused(f"{target} is here already; nothing is fetched")
    if exists(staged) and not _is_untouched(staged):
        raise refused(f"{staged} is being crawled already; go on with its crawl")


def _is_untouched(staged: Path) -> bool:
    """Say whether a collection came from an item, and no crawl has begun on it."""
    if not descent.is_file(staged, str(LEDGER_PATH)):
        return False
    with closing(read_ledger(staged, locked=True)) as ledger:
        facts = ledger.facts
        return facts.get(FROM_ITEM) is not None and not facts.get("runs")
