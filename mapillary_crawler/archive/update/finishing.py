"""From settled rows to an updated collection: what is new is made in staging, then merged."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mapillary_crawler.archive.finish.errors import NotSettled
from mapillary_crawler.archive.finish.finishing import Finished, make_files, require_settled
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.on_archive_org import UPLOADERS, VERIFIED
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.update.beginning import end_unchanged
from mapillary_crawler.archive.update.merge import Merge, places_of_images
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.durable import exists
from mapillary_crawler.collection.layout import THUMBNAIL
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SENT, Changes, Piece
from mapillary_crawler.ledger.thread import LedgerAccess


def finish_updated(
    access: LedgerAccess,
    collection: Collection,
    staged: Path,
    folder: Path,
    *,
    tar: bool,
    tar_max_bytes: int,
    accept_failed: bool,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Finished:
    """Finish an update in `staged` of the collection in `folder`; nothing new, nothing is changed.

    As `finish_collection`, whose errors it raises but for `DestinationTaken`; `BadJournal` besides.
    """
    changes = access.wait_for(lambda ledger: settle(ledger, accept_failed=accept_failed))
    if not changes.changed:
        balance = access.wait_for(_close)
        end_unchanged(folder, staged, changes)
        return Finished(folder, balance, changes)
    with Decoder() as jpeg_of:
        make_files(
            Work(access, staged, stop, say, elsewhere=places_of_images(folder), jpeg_of=jpeg_of),
            collection,
            folder,
            tar_max_bytes if tar else None,
            thumbnail=not exists(folder / THUMBNAIL),
        )
    sent, facts = _uploaded_meanwhile(folder)
    access.wait_for(lambda ledger: _take_over(ledger, sent, facts))
    balance = access.wait_for(_end)
    Merge(staged, folder, changes, stop, say, tar).run()
    return Finished(folder, balance, changes)


def settle(ledger: Ledger, *, accept_failed: bool) -> Changes:
    """Settle what an update decides; raises `NotSettled` where more is to be tried."""
    if not ledger.listing.position().closed:
        raise NotSettled("the listing is not complete; run the same command again")
    changes = ledger.update.conclude()
    require_settled(ledger, accept_failed=accept_failed)
    return changes


def _uploaded_meanwhile(folder: Path) -> tuple[list[Piece], dict[str, dict[str, object]]]:
    """Return what archive.org has of the collection, which an upload may have changed meanwhile."""
    with closing(read_ledger(folder, locked=True)) as ledger:
        sent = [piece for piece in ledger.pieces.all() if piece.state in SENT]
        facts = {name: ledger.facts.get(name) for name in (UPLOADERS, VERIFIED)}
    return sent, {name: value for name, value in facts.items() if isinstance(value, dict)}


def _take_over(ledger: Ledger, sent: list[Piece], facts: dict[str, dict[str, object]]) -> None:
    """Let the ledger of the update know what archive.org has."""
    with ledger.database.transaction():
        for piece in sent:
            mine = ledger.pieces.find(piece.name)
            if mine and mine.sha256 == piece.sha256 and mine.state < piece.state:
                ledger.pieces.set_state(piece.name, piece.state, piece.item)
        for name, value in facts.items():
            ledger.facts.set(**{name: {**value, **(ledger.facts.get(name) or {})}})


def _end(ledger: Ledger) -> Balance:
    """Note when the update was finished, by which its folder is known once it is merged."""
    ledger.facts.set(updating={**ledger.facts.get("updating"), "finished": time.time()})
    return _close(ledger)


def _close(ledger: Ledger) -> Balance:
    balance = ledger.images.balance()
    ledger.close()
    return balance
