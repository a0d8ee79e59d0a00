"""Lost tars are made again, with the same name and the same bytes where that is possible."""

from __future__ import annotations

import sys

from mapillary_crawler.archive.finish.parts import Placed, parts
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.durable import exists, sha256_of, sync_folder
from mapillary_crawler.ledger.records import Piece


def lost_tars(work: Work, day: str) -> list[tuple[Piece, list[Placed]]]:
    """Return the lost tars of a day all of whose images are back, with their layout.

    Of the others the images that came back are as any that lie loose.
    """
    again = []
    for piece, images in work.ledger.wait_for(lambda ledger: ledger.lost.came_back(day)):
        if images is not None:
            _clear_place(work, piece)
            again.append((piece, next(parts(images, sys.maxsize))))
    return again


def _clear_place(work: Work, piece: Piece) -> None:
    """Remove what a crash left of a tar that was made again, and that the ledger does not know."""
    path = work.folder / piece.name
    if exists(path) and not path.is_symlink() and sha256_of(path) == piece.sha256:
        path.unlink()
        sync_folder(work.folder)
