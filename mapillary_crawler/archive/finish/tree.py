"""What lies in the collection's folder, and what of it is the collection's."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator

from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.layout import files, is_own
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.records import PieceState


def recorded(work: Work) -> Iterator[tuple[str, bytes]]:
    """Yield path and sha256 of the collection's files in bytewise order, as the ledger has them.

    Those that were removed here after their upload are among them.
    """
    pieces = (
        (piece.name, piece.sha256)
        for piece in work.ledger.wait_for(lambda ledger: list(ledger.pieces.all()))
        if piece.state not in (PieceState.WRITING, PieceState.LOST) and piece.sha256
    )
    loose = (
        (image.member, image.sha256_stored)
        for image in streams.all_loose(work.ledger)
        if image.sha256_stored
    )
    return heapq.merge(pieces, loose)


def foreign(work: Work) -> Iterator[str]:
    """Yield the paths of files that are none of the collection's, in bytewise order."""
    own = recorded(work)
    mine = next(own, None)
    for path in files(work.folder):
        while mine and os.fsencode(mine[0]) < os.fsencode(path):
            mine = next(own, None)
        is_mine = mine is not None and mine[0] == path
        if not (is_mine or is_own(path)):
            yield path
