"""Slices into the whole again: the rows of each in one transaction, then its files.

What a crash leaves, and the next call goes on with:

- a slice whose rows are the slice's: all is as it was;
- rows that are the whole's, and files that are with the slice: they follow, then its folder goes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import partial
from pathlib import Path

from mapillary_crawler.archive.slices.moving import move_all
from mapillary_crawler.archive.slices.reading import slices_of
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.other_formats import SHARED
from mapillary_crawler.ledger.records import Slice, SliceMismatch, SliceState
from mapillary_crawler.ledger.slicing import merge
from mapillary_crawler.ledger.thread import LedgerAccess

#: Seconds for which a slice that has ended is waited for: its process is about to end, or one that
#: was started in vain.
_PATIENCE, _BETWEEN = 10.0, 0.1


def merge_ended(access: LedgerAccess, folder: Path, places: AbstractSet[Path]) -> int:
    """Merge those slices that have ended, while others may be crawled; return how many.

    As `merge_slices` in all else.
    """
    ended = _ended(access, folder)
    merged = 0
    for part in access.wait_for(lambda ledger: ledger.slices.every()):
        if part.state is SliceState.MERGED or part.number in ended:
            merged += _merge(access, folder, places, part, _PATIENCE)
    access.wait_for(lambda ledger: ledger.slices.ensure_sum())
    return merged


def merge_slices(access: LedgerAccess, folder: Path, places: AbstractSet[Path]) -> int:
    """Merge all slices of the collection in `folder`, as far as they are, and return how many.

    Those that have not ended come, too, with what they have: then the collection is whole, and may
    be cut anew. `places` are those of the locks, of which the caller has the collection's. May be
    killed at any instant and called again. Raises `Refused` where a process works on a slice, or
    a file is in the way; `SliceMismatch`, `sqlite3.Error`, `OSError`: nothing is lost by any.
    """
    ended = _ended(access, folder)
    merged = 0
    for part in access.wait_for(lambda ledger: ledger.slices.every()):
        is_over = part.state is SliceState.MERGED or part.number in ended
        merged += _merge(access, folder, places, part, _PATIENCE if is_over else 0)
    if not access.wait_for(lambda ledger: ledger.slices.is_cut):
        return merged
    access.wait_for(lambda ledger: ledger.slices.ensure_sum())
    _withdraw_shared(access, folder)
    if not access.wait_for(lambda ledger: ledger.slices.all_had_ended()):
        access.wait_for(lambda ledger: ledger.slices.forget_cut())
    return merged


def _ended(access: LedgerAccess, folder: Path) -> set[int]:
    slices = access.wait_for(lambda ledger: slices_of(folder, ledger))
    return {part.number for part in slices if part.state is SliceState.ENDED}


def _merge(
    access: LedgerAccess, folder: Path, places: AbstractSet[Path], part: Slice, patience: float
) -> bool:
    """Merge a slice, where that is to be done; say whether it was."""
    place = slice_folder(folder, part.number)
    is_merged = part.state is SliceState.MERGED
    if is_merged and not place.is_dir():
        return False
    lock = _lock(places, place.name, patience)
    try:
        if not is_merged:
            _merge_rows(access, place, part)
        _bring_back(place, folder)
    finally:
        lock.release()
    return not is_merged


def _lock(places: AbstractSet[Path], name: str, patience: float) -> Lock:
    """Lock a slice, if need be after some seconds; raises `Refused`, `OSError`."""
    until = time.monotonic() + patience
    while True:
        try:
            return Lock(set(places), name)
        except Refused:
            if time.monotonic() >= until:
                raise
        time.sleep(_BETWEEN)


def _merge_rows(access: LedgerAccess, place: Path, part: Slice) -> None:
    """Take the rows of a slice; one never begun has none of its own."""
    if not (place.is_dir() and descent.is_file(place, str(LEDGER_PATH))):
        access.wait_for(lambda ledger: ledger.slices.set_merged(part.number, has_ended=False))
        return
    path = place / LEDGER_PATH
    try:
        with closing(Ledger(path)) as ledger:  # takes in what a kill has left, or an older version
            has_ended = ledger.slices.ended is not None
    except sqlite3.OperationalError:  # the disk's, or a lock's
        raise
    except sqlite3.DatabaseError as error:
        raise SliceMismatch(
            f"{path} cannot be read: {error}; put it back from a backup, or move {place} away, and "
            "its images are fetched again"
        ) from None
    access.wait_for(partial(merge, path=path, part=part, has_ended=has_ended))


def bring_all_back(folder: Path, places: AbstractSet[Path]) -> None:
    """Move the files of all slices into the folder of their collection, whose ledger is lost.

    `places` are those of the locks. Raises `Refused` where a process works on a slice, or a file is
    in the way; `OSError`.
    """
    for place in sorted(folder.parent.glob(f"{slice_folder(folder, 0).name.removesuffix('0')}*")):
        lock = Lock(set(places), place.name)
        try:
            _bring_back(place, folder)
        finally:
            lock.release()


def _bring_back(place: Path, folder: Path) -> None:
    if place.is_dir():
        move_all(place, folder)
        descent.clear(place.parent, place.name)


def _withdraw_shared(access: LedgerAccess, folder: Path) -> None:
    """Want the images again that have a body which came for images of other slices as well."""
    for image in access.wait_for(lambda ledger: ledger.other_formats.all_shared()):
        descent.unlink(folder, image.member)
        access.wait_for(partial(_unsettle, image.number))


def _unsettle(number: int, ledger: Ledger) -> None:
    ledger.images.unsettle([number], SHARED)
