"""The last steps of an update, which any later command can take: renames, by a journal.

What an update brings lies whole in `.crawl/arriving` of the collection, by its later names, before
`.crawl/updating` says so: first the parts, then the manifests, `SHA256SUMS`, and the ledger. So at
any instant the tars that `SHA256SUMS` names are there, and each manifest is the old or the new one.
A journal that came from elsewhere is hostile input: it names files of a collection and no others.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.finish.errors import BadJournal, ForeignTar
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import WholeFile, exists, sync_folder
from mapillary_crawler.collection.layout import (
    ARRIVING,
    JOURNAL,
    LEDGER_PATH,
    MANIFESTS,
    META,
    SCRATCH,
    STATE,
    SUMS,
    TAR,
    THUMBNAIL,
    UPDATED,
    VIEWS,
    beside_ledger,
    files,
    is_log,
    is_summed,
    ledger_files,
)
from mapillary_crawler.collection.limits import lines
from mapillary_crawler.ledger.database import take_back
from mapillary_crawler.ledger.ledger import Ledger


def is_half_done(folder: Path) -> bool:
    """Say whether an update of a collection is on its way into its place."""
    try:
        return descent.is_file(folder, JOURNAL)
    except OSError:
        return False


def rank(path: str) -> int:
    """Return a file's place in the order of the renames; raises `ValueError` where it has none."""
    if {"", ".", ".."} & set(path.split("/")):
        raise ValueError(path)
    if path == str(LEDGER_PATH):
        return 3
    if path == SUMS:
        return 2
    if (
        path in (*MANIFESTS, *VIEWS, THUMBNAIL, UPDATED)
        or is_log(path)
        or path.startswith(f"{META}/")
    ):
        return 1
    if is_summed(path):
        return 0
    raise ValueError(path)


def write_journal(folder: Path, puts: Iterable[str], removals: Iterable[str]) -> None:
    """Say durably what is to take its place: the instant from which on the update will be done.

    `puts` are in the order of their ranks, the ledger last; `removals` come before the ledger.
    """
    with (
        descent.opened_folder(folder, SCRATCH, make=True),
        WholeFile(folder / JOURNAL, folder / SCRATCH) as file,
    ):
        last = ""
        for path in puts:
            if last:
                file.write(_line("put", last))
            last = path
        for path in removals:
            file.write(_line("remove", path))
        file.write(_line("put", last))
    descent.clear(folder, SCRATCH)


def _line(what: str, path: str) -> bytes:
    return json.dumps({what: path}).encode() + b"\n"


def finish_update(folder: Path, staged: Path | None = None) -> bool:
    """Bring an update that is half done to its end, without any request; say whether there was one.

    To be called under the collection's lock, with the `staged` folder that it came from, which is
    removed. May be killed at any instant and called again. Raises `BadJournal`, `ForeignTar`,
    `NotFollowed`, `OSError`.
    """
    if not descent.is_file(folder, JOURNAL):
        return False
    for _ in _entries(folder):  # nothing is moved by a journal that is not good to its end
        pass
    reached, touched = 0, set[str]()
    for what, path in _entries(folder):
        if rank(path) != reached:
            _sync(folder, touched)
            reached = rank(path)
        if what == "put":
            _put(folder, path)
        else:
            descent.unlink(folder, path)
        touched.add(path.rpartition("/")[0])
    _sync(folder, touched)
    if staged is not None and not forget_merged(folder, staged):
        _remove_rest(staged)
    descent.clear(folder, SCRATCH)  # a kill may have left it as the journal was written
    descent.unlink(folder, JOURNAL)
    sync_folder(folder / JOURNAL.rpartition("/")[0])
    descent.clear(folder, ARRIVING)
    return True


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what the journal says to do with which file; raises `BadJournal`."""
    with os.fdopen(descent.open_file(folder, JOURNAL), "rb") as file:
        try:
            for line in lines(file):
                ((what, path),) = json.loads(line).items()
                rank(path)
                yield ("put", "remove")[("put", "remove").index(what)], path
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise BadJournal(folder / JOURNAL) from None


def _put(folder: Path, path: str) -> None:
    """Give a file that has arrived its place; one that has left has it already."""
    arrived = f"{ARRIVING}/{path}"
    if not descent.is_file(folder, arrived):
        return
    if path.endswith(TAR) and exists(folder / path):
        raise ForeignTar(folder / path)
    if path == str(LEDGER_PATH):
        descent.unlink_all(folder, beside_ledger(LEDGER_PATH))
    with (
        descent.parent(folder, arrived) as (arriving, source),
        descent.parent(folder, path, make=True) as (place, name),
    ):
        os.rename(source, name, src_dir_fd=arriving, dst_dir_fd=place)


def _sync(folder: Path, touched: set[str]) -> None:
    """Bring the names in the folders that were touched to the disk, and those of the folders."""
    for below in {*touched, *(each.partition("/")[0] for each in touched), ""}:
        with suppress(FileNotFoundError):
            sync_folder(folder / below)
    touched.clear()


def forget_merged(folder: Path, staged: Path) -> bool:
    """Remove from staging an update that is in the collection, if it is; say so.

    What the collection does not have stays, but for what is the update's own. The ledger, by which
    an update is known, goes last.
    """
    if finished_at(folder) is None or merged_at(staged) != finished_at(folder):
        return False
    ledger = set(ledger_files(LEDGER_PATH))
    others = (path for path in files(staged) if path not in ledger)
    descent.unlink_all(staged, (path for path in others if _is_done_with(folder, staged, path)))
    sync_folder(staged / STATE)
    descent.unlink(staged, str(LEDGER_PATH))
    _remove_rest(staged)
    return True


def _remove_rest(staged: Path) -> None:
    """Remove what a kill has left of an update, once its ledger is gone, and empty folders."""
    if not staged.is_dir() or descent.is_file(staged, str(LEDGER_PATH)):
        return
    descent.unlink_all(staged, beside_ledger(LEDGER_PATH))
    with suppress(OSError):
        descent.prune(staged.parent, staged.name)
    sync_folder(staged.parent)


def _is_done_with(folder: Path, staged: Path, path: str) -> bool:
    """Say whether a file in staging is in the collection, or the update's own."""
    if path.split("/", maxsplit=1)[0] in (META, STATE):
        return True
    with suppress(OSError):
        there, here = descent.status(folder, path), descent.status(staged, path)
        return is_log(path) or (stat.S_ISREG(there.st_mode) and there.st_size == here.st_size)
    return False


def finished_at(folder: Path) -> float | None:
    """Return when the collection of a folder was finished, None where nobody knows."""
    finished: float | None = _fact(folder, "finished_at")
    return finished


def merged_at(staged: Path) -> float | None:
    """Return when an update was finished that is still in staging, None where it was not."""
    updating = _fact(staged, "updating")
    return updating.get("finished") if isinstance(updating, dict) else None


def _fact(folder: Path, name: str) -> Any:
    with suppress(sqlite3.Error, OSError):
        if descent.is_file(folder, str(LEDGER_PATH)):
            take_back(folder / LEDGER_PATH)
            with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
                return ledger.facts.get(name)
    return None
