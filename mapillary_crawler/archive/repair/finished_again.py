"""A finished collection that is finished once more: with tars, or with manifests it lacks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from mapillary_crawler.archive.finish.finishing import Finished, finish_collection
from mapillary_crawler.archive.repair.identity import collection_of
from mapillary_crawler.archive.update.journal import forget_merged
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import exists, sync_folder
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere


def finish_again(
    folder: Path,
    staging: Path,
    *,
    tar: bool,
    tar_max_bytes: int,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Finished:
    """Move a collection to staging, and finish it there, with its images in tars or loose.

    Killed in between, its crawl finishes it. Raises `Refused` before anything is changed,
    `FinishError`, `RunStopped`, `OSError`.
    """
    collection = collection_of(folder)
    target = to_staging(folder, staging)
    with closing(Ledger(target / LEDGER_PATH)) as ledger:
        with ledger.database.transaction():
            if ledger.facts.get("tar") is not tar:
                ledger.days.open_all()
            ledger.facts.set(tar=tar, finished_at=None)
        return finish_collection(
            LedgerHere(ledger),
            collection,
            target,
            folder,
            tar=tar,
            tar_max_bytes=tar_max_bytes,
            accept_failed=False,
            stop=stop,
            say=say,
        )


def to_staging(folder: Path, staging: Path) -> Path:
    """Move a collection of the store to where it is worked on, and return where that is.

    By a rename, on one file system; what a kill has left there of an update that has ended goes.
    Raises `Refused`.
    """
    target = staging / folder.name
    if folder == target:
        return target
    if target.is_dir() and not forget_merged(folder, target):
        with suppress(OSError):
            descent.prune(staging, folder.name)
    if exists(target):
        raise Refused(Outcome.REFUSED, f"{target} is in the way; finish that one first")
    staging.mkdir(parents=True, exist_ok=True)
    if staging.stat().st_dev != folder.stat().st_dev:
        raise Refused(
            Outcome.REFUSED,
            f"{staging} is on another file system than {folder}; set MAPILLARY_STAGING to a "
            "folder on the same one",
        )
    folder.rename(target)
    for place in (folder.parent, staging):
        sync_folder(place)
    return target
