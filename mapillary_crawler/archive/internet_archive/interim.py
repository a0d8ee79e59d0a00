"""Manifests of an unfinished collection for archive.org: a lost machine costs no knowledge.

They say what was listed, what is in the tars that archive.org has accepted, and what is gone.
Their lines are those of the manifests of the finished collection. `SHA256SUMS` is not among them:
with it an item is complete.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.finish.manifests import lines_of
from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.growing_collection import (
    GrowingCollection,
    accepted,
)
from mapillary_crawler.archive.internet_archive.uploaded_collection import UploadedCollection
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import digests_of
from mapillary_crawler.collection.layout import BARE, CHECKSUMS, DAMAGED, MANIFESTS, UPLOADING
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.records import Piece, PieceState

_GZIP_LEVEL = 6
#: Manifests with lines of saved images, which are there only if their tar is.
_OF_TARS = (CHECKSUMS, DAMAGED, BARE)


class InterimManifests(UploadedCollection):
    """The manifests so far, in a folder of their own; the ledger has no record of them."""

    def __init__(self, growing: GrowingCollection, folder: Path) -> None:
        super().__init__(folder, growing.access, growing.identifier)
        self._growing = growing

    def pieces(self) -> list[Piece]:
        """Return the manifests that have a line, in the order in which they are sent."""
        paths = (self.folder / name for name in MANIFESTS)
        return [self._piece(path) for path in paths if path.exists()]

    def _piece(self, path: Path) -> Piece:
        found = digests_of(path)
        return Piece(
            number=0,
            name=path.name,
            day=None,
            part=None,
            images=0,
            size=found.size,
            sha256=found.sha256,
            md5=found.md5,
            state=PieceState.SEALED,
            item=self.identifier,
        )

    def metadata_of(self, number: int, pieces: list[Piece], *, several: bool) -> Metadata:
        """Return that of the collection."""
        return self._growing.metadata_of(number, pieces, several=several)

    def note_held(self, piece: Piece, item: str) -> None:
        """Note nothing."""

    def note_accepted(self, piece: Piece, item: str) -> None:
        """Note that the item is ours; its tars are verified still, if they were."""
        self.access.wait_for(lambda ledger: self.take(ledger, item))


@contextmanager
def interim_manifests(
    growing: GrowingCollection, stop: Callable[[], bool]
) -> Iterator[InterimManifests]:
    """Make the manifests, to be gone with the block; raises `RunStopped`, `OSError`."""
    descent.clear(growing.folder, UPLOADING)
    with descent.opened_folder(growing.folder, UPLOADING, make=True):
        pass
    try:
        folder = growing.folder / UPLOADING
        _write(growing, folder, stop)
        yield InterimManifests(growing, folder)
    finally:
        descent.clear(growing.folder, UPLOADING)


def _write(growing: GrowingCollection, folder: Path, stop: Callable[[], bool]) -> None:
    there = {piece.name for piece in accepted(growing.pieces())}
    opened: dict[str, Any] = {}
    try:
        for image, listed in streams.lines_in_order(growing.access):
            if stop():
                raise RunStopped
            for name, line in lines_of(image, listed):
                if name in _OF_TARS and image.tar not in there:
                    continue
                if name not in opened:
                    opened[name] = _open(folder / name)
                opened[name].write(line)
    finally:
        for file in opened.values():
            file.close()


def _open(path: Path) -> Any:
    """Open a manifest; without a time in it, the same lines are the same file."""
    if path.suffix == ".gz":
        return gzip.GzipFile(path, "wb", compresslevel=_GZIP_LEVEL, mtime=0)
    return path.open("wb")
