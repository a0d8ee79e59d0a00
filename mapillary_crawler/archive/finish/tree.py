"""What lies in the collection's folder, and what of it is the collection's."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path

from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.ledger.schema import PieceState

SUMS = "SHA256SUMS"
THUMBNAIL = "__ia_thumb.jpg"
LOGS = "download.log.*"

#: Top-level folders with rules of their own.
_OWN_FOLDERS = frozenset({".crawl", ".meta"})


def files(folder: Path, below: str = "") -> Iterator[str]:
    """Yield the paths of all files below `folder` in bytewise order; links are not followed."""
    with os.scandir(folder / below) as entries:
        names = sorted(
            (os.fsencode(entry.name) + b"/" * entry.is_dir(follow_symlinks=False))
            for entry in entries
        )
    for name in names:
        path = below + os.fsdecode(name)
        if name.endswith(b"/"):
            yield from files(folder, path)
        else:
            yield path


def recorded(work: Work) -> Iterator[tuple[str, bytes]]:
    """Yield path and sha256 of the collection's files in bytewise order, as the ledger has them.

    Those that were removed here after their upload are among them.
    """
    pieces = (
        (piece.name, piece.sha256)
        for piece in work.ledger.pieces.all()
        if piece.state is not PieceState.WRITING and piece.sha256
    )
    loose = (
        (image.member, image.sha256_stored)
        for image in chain.from_iterable(map(work.ledger.images.loose, work.ledger.days.all()))
        if image.sha256_stored
    )
    return heapq.merge(pieces, loose)


def is_summed(path: str) -> bool:
    """Say whether SHA256SUMS lists a file of the collection."""
    return not (path.startswith(".") or path in (SUMS, THUMBNAIL) or fnmatch(path, LOGS))


def is_own(path: str) -> bool:
    """Say whether a file is the crawl's own, metadata for archive.org, or a log."""
    return path.split("/", maxsplit=1)[0] in _OWN_FOLDERS or fnmatch(path, LOGS)


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
