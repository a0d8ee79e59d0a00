"""What has become of a collection, at a glance, whether somebody works on it or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.lost_parts import LostPart, lost_parts
from mapillary_crawler.archive.on_archive_org import OnArchiveOrg, on_archive_org
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.reading import open_ledgers, whole_balance
from mapillary_crawler.archive.update.journal import is_half_done
from mapillary_crawler.archive.update.last_update import LastUpdate, last_update
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import (
    CHECKSUMS,
    LEDGER_PATH,
    LEDGER_WAL,
    PROGRESS_PATH,
    slice_folder,
)
from mapillary_crawler.collection.places import Places
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.ledger.trouble import LedgerTrouble
from mapillary_crawler.terminal import json_lines
from mapillary_crawler.terminal.progress_file import read_progress
from mapillary_crawler.terminal.quoting import one_line

#: The state of a finished collection in the store.
ARCHIVED = "archived"
#: Characters of an error that no disk and no database has.
_REASON = 60
#: What is written while a crawl works.
_WRITTEN = (LEDGER_PATH, LEDGER_WAL, PROGRESS_PATH)


@dataclass(frozen=True, slots=True)
class Overview:
    """A collection at one instant.

    `state` is a word or a few for people; `balance` is None where there is no ledger that
    can be read; `active_at` is in seconds since 1970, None where nothing says it;
    `archive_org` is None where no upload has begun, `updated` where no update has ended.
    """

    name: str
    state: str
    balance: Balance | None = None
    listing_closed: bool = False
    active_at: float | None = None
    #: Files of a finished collection that are not here, or not whole.
    lost: tuple[LostPart, ...] = ()
    archive_org: OnArchiveOrg | None = None
    updated: LastUpdate | None = None

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "collection": self.name,
            "state": self.state,
            "listing_closed": self.listing_closed if self.balance else None,
            "active_at": json_lines.moment(self.active_at),
            "lost": [part.name for part in self.lost],
            "archive_org": self.archive_org.fields() if self.archive_org else None,
            "updated": self.updated.fields() if self.updated else None,
            **json_lines.counts(self.balance),
        }


def look_at(folder: Path, places: Places) -> Overview:
    """Return what a collection's files say; never waits, never writes."""
    try:
        if not (folder / LEDGER_PATH).is_file():
            ours = (folder / CHECKSUMS).is_file()
            words = "no ledger: repair it" if ours else "no ledger: not made by this program"
            return Overview(folder.name, words)
        return _look_at_ledger(folder, places)
    except OSError as error:
        return Overview(folder.name, f"cannot be read: {error.strerror}")
    except Exception as error:  # noqa: BLE001  whatever is in its files, the others are to be seen
        return Overview(folder.name, f"cannot be read: {one_line(str(error), _REASON)}")


def _look_at_ledger(folder: Path, places: Places) -> Overview:
    times = []
    for path in _WRITTEN:
        with suppress(OSError):
            times.append(descent.status(folder, str(path)).st_mtime)
    active_at = max(times, default=None)
    try:
        with closing(read_ledger(folder)) as ledger:
            balance = whole_balance(folder, ledger)
            slices = ledger.slices.unmerged()
            closed = ledger.listing.position().closed
            finished = ledger.facts.get("finished_at") is not None
            lost = tuple(lost_parts(folder, ledger)) if finished else ()
            uploaded = on_archive_org(ledger)
            is_update = ledger.update.is_on
    except LedgerTrouble as trouble:
        state = f"ledger cannot be read: {trouble.reason}"
        return Overview(folder.name, state, active_at=active_at)
    except (sqlite3.Error, LedgerTooNew) as error:
        return Overview(folder.name, f"ledger cannot be read: {error}", active_at=active_at)
    is_worked_on = places.is_locked(folder)
    at_work = sum(places.is_locked(slice_folder(folder, part.number)) for part in slices)
    if is_worked_on:
        state = _working(folder, balance)
    elif slices:
        state = _in_slices(balance, at_work)
    elif finished and folder.resolve().parent == places.store.resolve():
        files = "a file" if len(lost) == 1 else f"{len(lost):,} files"
        state = f"lacks {files}: repair it" if lost else ARCHIVED
        state = "update half done" if is_half_done(folder) else state
    else:
        state = f"{'update ' * is_update}{_left(folder, balance)}"
    lost = () if is_worked_on else lost
    return Overview(
        folder.name, state, balance, closed, active_at, lost, uploaded, last_update(folder)
    )


def _in_slices(balance: Balance, at_work: int) -> str:
    """Say how far a collection is that is cut, and how many of its slices are worked on."""
    done = f"{100 * (balance.listed - balance.unsettled) // max(1, balance.listed)} %"
    return f"fetching, {done}, slices: {at_work}" if at_work else f"cut into slices, {done}"


def failures(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Yield id, last error and attempts in the last run of each image that failed.

    Raises `sqlite3.Error`, `LedgerTooNew`.
    """
    with closing(read_ledger(folder)) as ledger:
        of_slices: list[str] = []
        for own in open_ledgers(folder, ledger):
            of_slices += own.slices.days()
            yield from _failed(own.images.failures())
        yield from _failed(ledger.images.failures(but=of_slices))


def _failed(unsettled: Iterable[tuple[str, str | None, int]]) -> Iterator[tuple[str, str, int]]:
    for image_id, error, attempts in unsettled:
        if error is not None:
            yield image_id, error, attempts


def _working(folder: Path, balance: Balance) -> str:
    """Say what the process that works on a collection is at."""
    phase = read_progress([folder]).get("phase")
    if phase not in ("listing", "fetching", "finishing", "uploading"):
        return "worked on"
    if phase == "fetching" and balance.listed:
        return f"fetching, {100 * (balance.listed - balance.unsettled) // balance.listed} %"
    return str(phase)


def _left(folder: Path, balance: Balance) -> str:
    """Say how the last run on a collection ended."""
    progress = read_progress([folder])
    if progress.get("phase") not in (None, "ended"):
        return "killed"
    if balance.listed and not balance.saved and not progress:
        return "planned"
    words = str(progress.get("outcome") or "not finished")
    return words.partition(",")[0]
