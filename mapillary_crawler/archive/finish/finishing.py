"""From settled rows to a finished collection: tars, manifests, Internet Archive metadata."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mapillary_crawler.archive.finish.errors import (
    CHANGED,
    DestinationTaken,
    ImagesChanged,
    NotSettled,
    PartsLost,
)
from mapillary_crawler.archive.finish.manifests import write_manifests
from mapillary_crawler.archive.finish.meeting_names import refuse_meeting_names
from mapillary_crawler.archive.finish.meta import write_meta
from mapillary_crawler.archive.finish.move import move_collection
from mapillary_crawler.archive.finish.seal import check_day, forget_unfinished, seal_day
from mapillary_crawler.archive.finish.sums import write_sums
from mapillary_crawler.archive.finish.tags import Contents
from mapillary_crawler.archive.finish.thumbnail import write_thumbnail
from mapillary_crawler.archive.finish.tree import foreign
from mapillary_crawler.archive.finish.views import write_views
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.lost_parts import lost_parts
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.batch import remove_incoming
from mapillary_crawler.collection.durable import exists
from mapillary_crawler.collection.layout import UPLOADING
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FORMAT, Changes, PieceState
from mapillary_crawler.ledger.thread import LedgerAccess

#: Foreign files that are named one by one.
_NAMED = 50


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished collection: where it is, and its balance."""

    destination: Path
    balance: Balance
    #: What an update has brought, None for a first crawl.
    changes: Changes | None = None

    @property
    def outcome(self) -> Outcome:
        """How the run ended that finished it."""
        return Outcome.ACCEPTED if self.balance.accepted else Outcome.COMPLETE


def finish_collection(
    access: LedgerAccess,
    collection: Collection,
    folder: Path,
    destination: Path,
    *,
    tar: bool,
    tar_max_bytes: int,
    accept_failed: bool,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Finished:
    """Finish a collection and move it from `folder` to `destination`.

    Works in a thread that is not the ledger's, and closes the ledger before the move. May be
    killed at any instant and called again; the result is the same.

    Raises, and nothing is lost: `NotSettled`; `ImagesChanged`, once all days were looked at;
    `PartsLost`; `RunStopped`, after `stop` returned true; `ForeignTar`; `DestinationTaken`;
    `NamesMeet`; `OSError`, `ReadBackFailed` and ENOSPC among them;
    `sqlite3.OperationalError` where the ledger finds the disk full.
    """
    with Decoder() as jpeg_of:
        work = Work(access, folder, stop, say, jpeg_of=jpeg_of)
        balance, absent = _finish(
            work,
            collection,
            destination,
            tar_max_bytes if tar else None,
            accept_failed=accept_failed,
        )
    move_collection(folder, destination, absent=absent, stop=stop, say=say)
    return Finished(destination, balance)


def _finish(
    work: Work,
    collection: Collection,
    destination: Path,
    tar_max_bytes: int | None,
    *,
    accept_failed: bool,
) -> tuple[Balance, set[str]]:
    """Do all but the move; return the balance, and the files that are not here any more."""
    access = work.ledger
    access.wait_for(lambda ledger: require_settled(ledger, accept_failed=accept_failed))
    if exists(destination):
        raise DestinationTaken(destination)
    make_files(work, collection, destination, tar_max_bytes)
    if lost := access.wait_for(lambda ledger: lost_parts(work.folder, ledger)):
        raise PartsLost(work.folder, lost)
    return access.wait_for(_conclude)


def make_files(
    work: Work,
    collection: Collection,
    destination: Path,
    tar_max_bytes: int | None,
    *,
    thumbnail: bool = True,
) -> None:
    """Make all files of a collection whose images are settled; without `tar_max_bytes` no tars."""
    tar = tar_max_bytes is not None
    work.make_scratch()
    refuse_meeting_names(work, destination, tar=tar)
    _seal_days(work, tar_max_bytes)
    write_files(work, collection, tar=tar, thumbnail=thumbnail)
    _name_foreign(work)
    work.clear_scratch()
    descent.clear(work.folder, UPLOADING)  # of an upload that was killed
    remove_incoming(work.folder)


def _conclude(ledger: Ledger) -> tuple[Balance, set[str]]:
    """Note that all is done and close; return the balance and what is not here any more."""
    absent = {piece.name for piece in ledger.pieces.all() if piece.state is PieceState.REMOVED}
    balance = ledger.images.balance()
    ledger.slices.forget_cut()  # an update lists more than was cut
    ledger.facts.set(finished_at=time.time(), format=FORMAT)
    ledger.close()
    return balance, absent


def require_settled(ledger: Ledger, *, accept_failed: bool) -> None:
    """Raise `NotSettled` where images are wanted still, and not accepted as failed."""
    if accept_failed and ledger.listing.position().closed:
        ledger.images.accept_failed()
    if not ledger.listing.position().closed:
        raise NotSettled("the listing is not complete; run the same command again")
    if ledger.slices.unmerged():
        raise NotSettled("slices of it are not merged; run the same command again")
    ledger.slices.ensure_sum()
    balance = ledger.images.balance()
    if balance.unsettled:
        raise NotSettled(f"{balance.unsettled} images are missing still")


def _seal_days(work: Work, tar_max_bytes: int | None) -> None:
    """Seal each day that is not, into tars or as the folder it is."""
    forget_unfinished(work)
    unsealed = work.ledger.wait_for(lambda ledger: ledger.days.unsealed())
    changed = 0
    for number, day in enumerate(unsealed, 1):
        work.check_stop()
        changed += _seal(work, day, f"day {number} of {len(unsealed)}", tar_max_bytes)
    if changed:
        raise ImagesChanged(changed)


def _seal(work: Work, day: str, which: str, tar_max_bytes: int | None) -> int:
    """Seal a day; return how many of its images are to be fetched again."""
    count = work.ledger.wait_for(lambda ledger: ledger.images.count_loose(day))
    if count:
        doing = "sealing" if tar_max_bytes else "checking"
        work.say(f"{doing} {which}: {day}, {count} images")
    numbers = seal_day(work, day, tar_max_bytes) if tar_max_bytes else check_day(work, day)
    if numbers:
        work.ledger.wait_for(lambda ledger: ledger.images.unsettle(numbers, CHANGED))
    return len(numbers)


def write_files(work: Work, collection: Collection, *, tar: bool, thumbnail: bool) -> None:
    """Write all that lies beside the images; SHA256SUMS last, since it lists the others."""
    contents = work.ledger.wait_for(lambda ledger: contents_of(ledger, collection, tar=tar))
    work.say(f"writing the manifests of {contents.balance.listed:,} images")
    write_manifests(work)
    write_views(work, contents)
    if thumbnail:
        write_thumbnail(work)
    write_meta(work, contents)
    write_sums(work)


def contents_of(ledger: Ledger, collection: Collection, *, tar: bool) -> Contents:
    """Return what the metadata says of a collection as it is now."""
    encoder = ledger.facts.get("encoder") if collection.webp or collection.jxl else None
    adopted = ledger.facts.get("adopted")
    return Contents(collection, ledger.images.balance(), ledger.days.all(), tar, encoder, adopted)


def _name_foreign(work: Work) -> None:
    strangers = foreign(work)
    for path in islice(strangers, _NAMED):
        work.say(f"{work.folder / path} is not part of the collection; it is left as it is")
    more = sum(1 for _ in strangers)
    if more:
        work.say(f"{more} further files are not part of the collection; they are left as they are")
