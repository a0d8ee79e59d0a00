"""An update begins with a copy of the ledger of the collection, which stays as it is."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.update.journal import finished_at, forget_merged
from mapillary_crawler.archive.update.merge import write_updated
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import (
    ARRIVING,
    BEGINNING,
    LEDGER_PATH,
    STATE,
    UPDATED,
    files,
    is_log,
)
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.database import take_back
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.naming import named_once_made
from mapillary_crawler.ledger.records import Changes


def begin_update(folder: Path, staged: Path) -> None:
    """Make `staged` the place of an update of the collection in `folder`, or go on with one there.

    To be called under the collection's lock. Raises `Refused` where something else is there,
    `sqlite3.Error`, `OSError`.
    """
    take_back(folder / LEDGER_PATH)  # of an upload that was killed
    begun = staged.is_dir() and descent.is_file(staged, str(LEDGER_PATH))
    if begun and not forget_merged(folder, staged):
        _refuse_another(folder, staged)
        return
    descent.clear(folder, ARRIVING)
    staged.mkdir(parents=True, exist_ok=True)
    with descent.opened_folder(staged, STATE, make=True):
        pass
    size = (folder / LEDGER_PATH).stat().st_size
    require_space(staged, 2 * size, f"the ledger of the update of {folder.name}")
    beginning = staged / BEGINNING
    with named_once_made(staged / LEDGER_PATH, beginning):
        with closing(read_ledger(folder, locked=True)) as ledger:
            ledger.database.copy_to(beginning)
        with closing(Ledger(beginning, wal=False)) as ledger:
            ledger.update.begin()
    sync_folder(staged.parent)


def _refuse_another(folder: Path, staged: Path) -> None:
    """Raise `Refused` where what is in staging is no update of the collection as it is now."""
    with closing(read_ledger(staged, locked=True)) as ledger:
        is_update, base = ledger.update.is_on, ledger.update.base
    if not is_update:
        raise Refused(
            Outcome.REFUSED,
            f"{staged} is a crawl of its own, though the collection is in {folder}; give another "
            "folder as MAPILLARY_STAGING to bring that up to date",
        )
    if base != finished_at(folder):
        raise Refused(
            Outcome.REFUSED,
            f"{folder} has changed since what is in {staged} was begun, which cannot go on; remove "
            "that folder to begin anew, or give another one as MAPILLARY_STAGING",
        )


def end_unchanged(folder: Path, staged: Path, changes: Changes) -> None:
    """Note that an update has brought nothing, and remove its state and logs from staging."""
    write_updated(folder / UPDATED, folder, changes)
    descent.unlink_all(staged, list(filter(is_log, files(staged))))
    descent.clear(staged, STATE)
    with suppress(OSError):  # whatever else there is stays
        descent.prune(staged.parent, staged.name)
