"""A slice, ready to be crawled: its ledger made of the whole's, the files of its days, fresh URLs.

What a crash leaves, and the next call goes on with:

- a ledger that has not its name: rubbish, made again;
- a ledger, and some of the files with the whole: they follow.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mapillary_crawler.archive.slices.moving import move
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import BEGINNING, LEDGER_PATH, STATE
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.naming import named_once_made
from mapillary_crawler.ledger.records import Slice
from mapillary_crawler.ledger.slicing import ensure_of_cut, fill, renew


def make_slice(whole: Path, folder: Path, part: Slice) -> None:
    """Make `folder` the place of a slice of the collection in `whole`, unless it is that already.

    To be called under the slice's lock. Raises `SliceMismatch`, `Refused`, `sqlite3.Error`,
    `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with descent.opened_folder(folder, STATE, make=True):
        pass
    if not descent.is_file(folder, str(LEDGER_PATH)):
        _make_ledger(whole, folder, part)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ensure_of_cut(ledger, folder / LEDGER_PATH, whole / LEDGER_PATH, part)
        if not ledger.slices.has_files:
            tars = [piece.name for piece in ledger.pieces.all()]
            move(whole, folder, [*ledger.slices.days(), *tars])
            ledger.slices.set_files_taken()
        renew(ledger, whole / LEDGER_PATH)


def _make_ledger(whole: Path, folder: Path, part: Slice) -> None:
    beginning = folder / BEGINNING
    with (
        named_once_made(folder / LEDGER_PATH, beginning),
        closing(Ledger(beginning, wal=False)) as ledger,
    ):
        fill(ledger, whole / LEDGER_PATH, part)
    sync_folder(folder.parent)
