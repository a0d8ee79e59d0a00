"""Into what a collection is cut, and how far each slice is, for those who only read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.ledger.records import Slice, SliceState


def read_slices(folder: Path) -> list[Slice] | None:
    """Return the slices of the collection in `folder`, in order; None where it is not cut.

    Never waits, never writes. A slice that was merged has no folder any more. Raises
    `sqlite3.Error`, `LedgerTooNew` where the collection's ledger cannot be read; None where there
    is none.
    """
    if not (folder / LEDGER_PATH).is_file():
        return None
    with closing(read_ledger(folder)) as ledger:
        slices = ledger.slices.all()
    return [replace(part, state=_state(folder, part)) for part in slices] or None


def _state(folder: Path, part: Slice) -> SliceState:
    """Return how far a slice is; what cannot be read is open, and its crawl says why."""
    place = slice_folder(folder, part.number)
    if part.state is SliceState.MERGED:
        return part.state
    try:
        if not descent.is_file(place, str(LEDGER_PATH)):
            return SliceState.OPEN
        with closing(read_ledger(place)) as ledger:
            return SliceState.OPEN if ledger.slices.ended is None else SliceState.ENDED
    except (OSError, sqlite3.Error, ProjectError):
        return SliceState.OPEN
