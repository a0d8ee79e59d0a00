"""Folders in staging that hold nothing but logs and empty ledgers."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import LEDGER_PATH, files, is_clutter, is_worthless
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.collection.places import Places
from mapillary_crawler.ledger.schema import LedgerTooNew


def leftovers(places: Places) -> Iterator[Path]:
    """Yield the folders in staging that nobody works on and that hold nothing of worth."""
    for folder in places.all():
        if folder.parent == places.staging and not places.is_locked(folder) and _is_empty(folder):
            yield folder


def remove(folder: Path, places: Places) -> bool:
    """Remove a leftover, file by known file; return whether it still was one."""
    try:
        lock = Lock({places.store, places.staging}, folder.name)
    except Refused:
        return False
    try:
        if not _is_empty(folder, locked=True):
            return False
        for path in list(files(folder)):
            if _may_go(folder, path):
                descent.unlink(folder, path)
        with suppress(OSError):  # a folder that is not empty stays
            descent.prune(folder.parent, folder.name)
    finally:
        lock.release()
    return not folder.exists()


def _may_go(folder: Path, path: str) -> bool:
    """Say whether a file is a log, state or clutter; links and special files are none."""
    known = is_clutter(path) or is_worthless(path)
    return known and stat.S_ISREG(descent.status(folder, path).st_mode)


def _is_empty(folder: Path, *, locked: bool = False) -> bool:
    """Say whether a folder has nothing but logs and a ledger that lists nothing."""
    if not all(_may_go(folder, path) for path in files(folder)):
        return False
    if not (folder / LEDGER_PATH).exists():
        return True
    try:
        with closing(read_ledger(folder, locked=locked)) as ledger:
            return ledger.images.listed() == 0 and next(ledger.pieces.all(), None) is None
    except (sqlite3.Error, LedgerTooNew):
        return False
