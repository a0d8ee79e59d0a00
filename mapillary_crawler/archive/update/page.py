"""A page for a collection that was finished without one, by the rules of an update.

All is made beside the collection, in `.crawl/arriving`, then takes its place by the journal. What a
kill leaves is made again, or, once there is the journal, brought to its end by whoever comes next.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mapillary_crawler.archive.finish.finishing import write_files
from mapillary_crawler.archive.finish.work import Work, require_space
from mapillary_crawler.archive.lost_parts import lost_parts
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.update.journal import finish_update, rank, write_journal
from mapillary_crawler.archive.update.merge import changed_files
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import exists, sync_folder
from mapillary_crawler.collection.layout import ARRIVING, LEDGER_PATH, STATE
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FORMAT, Piece
from mapillary_crawler.ledger.thread import LedgerHere


def add_page(
    folder: Path, collection: Collection, *, stop: Callable[[], bool], say: Callable[[str], None]
) -> bool:
    """Make the page of the finished collection in `folder`, and all else anew that has changed.

    What is made and was lost there comes back, too.

    Says whether anything had. To be called under the collection's lock, without an update under
    way. Raises `RunStopped`, `OSError`, `sqlite3.Error`, and what `finish_update` does.
    """
    arriving = folder / ARRIVING
    descent.clear(folder, ARRIVING)
    with descent.opened_folder(folder, f"{ARRIVING}/{STATE}", make=True):
        pass
    require_space(folder, 2 * (folder / LEDGER_PATH).stat().st_size, f"the page of {folder.name}")
    with closing(read_ledger(folder, locked=True)) as before:
        before.database.copy_to(arriving / LEDGER_PATH)
        with closing(Ledger(arriving / LEDGER_PATH, wal=False)) as after, Decoder() as jpeg_of:
            after.facts.set(page=True, format=FORMAT)
            work = Work(
                LedgerHere(after), arriving, stop, say, jpeg_of=jpeg_of, elsewhere=(folder,)
            )
            work.make_scratch()
            write_files(work, collection, tar=after.facts.get("tar") is not False, thumbnail=False)
            work.clear_scratch()
            changed, gone = changed_files(before, after)
            changed += _lost_files(folder, before, changed)
    if not changed:
        descent.clear(folder, ARRIVING)
        return False
    for below, _, _ in os.walk(arriving, topdown=False):
        sync_folder(Path(below))
    puts = sorted((piece.name for piece in changed), key=rank)
    write_journal(folder, [*puts, str(LEDGER_PATH)], sorted(gone, key=rank))
    return finish_update(folder)


def _lost_files(folder: Path, before: Ledger, changed: list[Piece]) -> list[Piece]:
    """Return the files that were made as they had been, and are not in the collection any more."""
    others = {part.name for part in lost_parts(folder, before)} - {piece.name for piece in changed}
    made = (before.pieces.find(name) for name in sorted(others) if exists(folder / ARRIVING / name))
    return [piece for piece in made if piece]
