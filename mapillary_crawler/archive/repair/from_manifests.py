"""The ledger of a finished collection, made anew of its manifests."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mapillary_crawler.archive.finish.rebuild import rebuild_ledger
from mapillary_crawler.archive.repair.identity import collection_of, facts_of
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import exists, sync_folder
from mapillary_crawler.collection.layout import LEDGER_PATH, STATE, ledger_files
from mapillary_crawler.ledger.records import PieceState

_KEPT = "unreadable"


def rebuild_from_manifests(folder: Path) -> None:
    """Make the ledger anew; one that cannot be read is kept beside it.

    Tars that are not here, or not what SHA256SUMS says, are then known to be lost. Raises
    `Refused`, `ManifestsDisagree`, `OSError`.
    """
    collection = collection_of(folder)
    facts = facts_of(folder, collection)
    with descent.opened_folder(folder, STATE, make=True):
        pass
    set_aside(folder)
    rebuild_ledger(
        folder,
        folder / LEDGER_PATH,
        collection,
        tar=facts["tar"],
        absent=PieceState.SEALED,
        facts=facts,
    )


def set_aside(folder: Path) -> None:
    """Give a ledger that cannot be read another name, under which nobody looks for one."""
    kept = LEDGER_PATH.with_suffix(f".{_KEPT}")
    number = 1
    while exists(folder / kept):
        number += 1
        kept = LEDGER_PATH.with_suffix(f".{_KEPT}-{number}")
    # The ledger last: what stayed beside the next one, SQLite would take for that one's.
    names = zip(ledger_files(LEDGER_PATH), ledger_files(kept), strict=True)
    for name, kept_name in reversed(list(names)):
        with suppress(FileNotFoundError):
            (folder / name).rename(folder / kept_name)
    with suppress(FileNotFoundError):
        sync_folder(folder / STATE)
