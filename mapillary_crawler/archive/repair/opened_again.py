"""A collection whose tars are lost or damaged is opened again, so that a crawl fetches what lacks.

Whatever reads as it was stored is taken out of a damaged tar, and never fetched again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from mapillary_crawler.archive.finish.parts import size_of
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.batch import NewFile, write_files
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import KEPT_TARS
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord

_BATCH = 64


@dataclass
class Reopened:
    """How many images are to be fetched again, and how many were taken out of damaged tars."""

    wanted: int = 0
    kept: int = 0


def open_again(
    folder: Path, ledger: Ledger, tars: Sequence[str], advance: Callable[[int], None]
) -> Reopened:
    """Let the images of lost tars be fetched again; a damaged one is kept in `.crawl/kept`.

    May be killed and called again. Raises `NotFollowed`, `DiskFull`, `OSError`.
    """
    result = Reopened()
    for name in tars:
        piece = ledger.pieces.find(name)
        assert piece is not None
        _set_aside(folder, name)
        kept = _take_out(folder, f"{KEPT_TARS}/{name}", ledger.images.in_piece(piece), advance)
        result.wanted += ledger.lost.open(piece, kept)
        result.kept += len(kept)
    if tars:
        ledger.facts.set(finished_at=None)
    return result


def _set_aside(folder: Path, name: str) -> None:
    """Give a damaged tar another place, where the new one is not in its way."""
    try:
        if not descent.is_file(folder, name):
            return
    except descent.NotFollowed:  # what stands there is not ours; the new tar names it
        return
    with (
        descent.opened_folder(folder, KEPT_TARS, make=True) as kept,
        descent.opened_folder(folder) as here,
    ):
        _make_way(kept, name)
        os.rename(name, name, src_dir_fd=here, dst_dir_fd=kept)
    sync_folder(folder / KEPT_TARS)
    sync_folder(folder)


def _make_way(kept: int, name: str) -> None:
    """Give a tar of an earlier repair a number, so that it stays, too."""
    names = set(os.listdir(kept))
    if name in names:
        number = next(each for each in count(1) if f"{name}.{each}" not in names)
        os.rename(name, f"{name}.{number}", src_dir_fd=kept, dst_dir_fd=kept)


def _take_out(
    folder: Path, tar: str, images: Iterator[ImageRecord], advance: Callable[[int], None]
) -> set[int]:
    """Write the images of a damaged tar that are as they were stored; return their numbers."""
    try:
        handle = descent.open_file(folder, tar)
    except FileNotFoundError:
        return set()
    kept: set[int] = set()
    try:
        while batch := list(islice(images, _BATCH)):
            files = [NewFile(each.member, _read(handle, each), each.captured_at) for each in batch]
            whole = [file for file in files if file.body]
            digests = write_files(folder, whole)
            by_path = {file.path: digest for file, digest in zip(whole, digests, strict=True)}
            good = [each for each in batch if by_path.get(each.member) == each.sha256_stored]
            kept |= {each.number for each in good}
            advance(sum(map(size_of, batch)))
    finally:
        os.close(handle)
    return kept


def _read(handle: int, image: ImageRecord) -> bytes:
    """Return an image's bytes, none where they cannot be read."""
    assert image.offset is not None
    try:
        return os.pread(handle, size_of(image), image.offset)
    except OSError:
        return b""
