"""Folders in staging that are worth nothing: of runs that came to nothing, and of plans."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import (
    LEDGER_PATH,
    files,
    is_clutter,
    is_worthless,
)
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.collection.places import Places
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.schema import LedgerTooNew

#: Images that a plan may have left, of its sample; whatever has more is no plan.
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Leftover:
    """A folder that may go: what a plan has listed there, and the images of its sample."""

    folder: Path
    listed: int
    sample: int


@dataclass(frozen=True, slots=True)
class _Worthless:
    """What a ledger knows that decides nothing: listed images, and paths of the saved ones."""

    listed: int = 0
    sample: AbstractSet[str] = frozenset()


def leftovers(places: Places) -> Iterator[Leftover]:
    """Yield the folders in staging that nobody works on and that hold nothing of worth."""
    for folder in places.all():
        if folder.parent == places.staging and not places.is_locked(folder):
            found = _worthless(folder)
            if found is not None:
                yield Leftover(folder, found.listed, len(found.sample))


def remove(folder: Path, places: Places) -> bool:
    """Remove a leftover, file by known file; return whether it still was one."""
    try:
        lock = Lock({places.store, places.staging}, folder.name)
    except Refused:
        return False
    try:
        found = _worthless(folder, locked=True)
        if found is None:
            return False
        for path in list(files(folder)):
            if _may_go(folder, path, found.sample):
                descent.unlink(folder, path)
        with suppress(OSError):  # a folder that is not empty stays
            descent.prune(folder.parent, folder.name)
    finally:
        lock.release()
    return not folder.exists()


def _may_go(folder: Path, path: str, sample: AbstractSet[str]) -> bool:
    """Say whether a file is a log, state, clutter or of a plan's sample; links are none."""
    known = is_clutter(path) or is_worthless(path) or path in sample
    return known and stat.S_ISREG(descent.status(folder, path).st_mode)


def _worthless(folder: Path, *, locked: bool = False) -> _Worthless | None:
    """Return what a folder has that is worth nothing; None where there is anything else."""
    found: _Worthless | None = _Worthless()
    if (folder / LEDGER_PATH).exists():
        try:
            with closing(read_ledger(folder, locked=locked)) as ledger:
                found = _of_ledger(ledger)
        except (sqlite3.Error, LedgerTooNew):
            return None
    if found is None or not all(_may_go(folder, path, found.sample) for path in files(folder)):
        return None
    return found


def _of_ledger(ledger: Ledger) -> _Worthless | None:
    """Return what a ledger knows, if it lists nothing or no crawl has begun on what it lists."""
    if next(ledger.pieces.all(), None) is not None:
        return None
    listed = ledger.images.listed()
    if listed == 0:
        return _Worthless()
    planned = ledger.facts.get("planned") is not None and ledger.facts.get("tar") is None
    if not planned or ledger.survey.progress()[0].saved > _SAMPLE:
        return None
    saved = ledger.images.first_saved(_SAMPLE)
    return _Worthless(listed, {record.member for record in saved})
