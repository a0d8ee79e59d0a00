"""A ledger from manifests, as of an item that was downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from itertools import groupby, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mapillary_crawler.archive.finish.manifest_reader import (
    ListedImage,
    ManifestsDisagree,
    read_manifests,
)
from mapillary_crawler.archive.finish.manifests import REASONS
from mapillary_crawler.archive.finish.parts import closed, padded
from mapillary_crawler.archive.finish.samples import take_back_samples
from mapillary_crawler.archive.finish.sums import read_sums
from mapillary_crawler.collection.durable import digests_of, exists
from mapillary_crawler.collection.layout import (
    CHECKSUMS,
    MANIFESTS,
    METADATA,
    REBUILDING,
    SUMS,
    TAR,
    THUMBNAIL,
    VIEWS,
)
from mapillary_crawler.collection.names import Collection, capture_day
from mapillary_crawler.graph.api import PAGE_ROWS
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.naming import named_once_made
from mapillary_crawler.ledger.records import DayState, PieceState


def rebuild_ledger(
    folder: Path,
    ledger_path: Path,
    collection: Collection,
    *,
    tar: bool,
    absent: PieceState = PieceState.REMOVED,
    facts: Mapping[str, Any] = MappingProxyType({}),
    read_files: bool = True,
) -> None:
    """Make the ledger of a finished collection from the manifests in `folder`.

    Its listing is closed; images that no manifest accounts for are wanted. Tars that are
    not in the folder are `absent`: removed after their upload, or, sealed, lost. `facts` are what
    else the ledger is to know. Without `read_files` no other file is looked at, and of tars there
    is what the manifests say. Raises `ManifestsDisagree`, `FileExistsError` where there is a
    ledger, `OSError`.
    """
    if ledger_path.exists():
        raise FileExistsError(f"{ledger_path} exists already")
    ledger_path.parent.mkdir(parents=True, exist_ok=True)
    with new_ledger(ledger_path) as ledger:
        _Rebuild(ledger, folder, absent, read_files=read_files).fill(collection, tar=tar)
        ledger.facts.set(**facts)


@contextmanager
def new_ledger(path: Path) -> Iterator[Ledger]:
    """Give a ledger that has its name once the block ends well; what a kill has left goes."""
    unfinished = path.with_name(f"{path.name}{REBUILDING}")
    with named_once_made(path, unfinished), closing(Ledger(unfinished)) as ledger:
        yield ledger


class _Rebuild:
    """The way of the manifests into a new ledger, a day and a page at a time."""

    def __init__(
        self, ledger: Ledger, folder: Path, absent: PieceState, *, read_files: bool
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._absent = absent
        self._read_files = read_files
        self._listed = 0
        self._sums: dict[str, bytes] = {}
        if read_files and (folder / SUMS).exists():
            self._sums = {
                name: sha256 for name, sha256 in read_sums(folder / SUMS) if name.endswith(TAR)
            }

    def fill(self, collection: Collection, *, tar: bool) -> None:
        """Bring everything into the ledger."""
        ledger = self._ledger
        images = read_manifests(self._folder, collection, tar=tar)
        for day, of_day in groupby(images, lambda image: image.row.day):
            self._add_day(day, of_day)
            if tar:
                ledger.days.set_state(day, DayState.SEALED)
        ledger.listing.commit(self._cursor(), None, [])
        ledger.listing.close()
        if not self._read_files:
            return
        for name in (*MANIFESTS, *VIEWS, SUMS, THUMBNAIL):
            if (self._folder / name).exists():
                ledger.pieces.record_file(name, **asdict(digests_of(self._folder / name)))
        take_back_samples(ledger, self._folder)

    def _add_day(self, day: str, images: Iterator[ListedImage]) -> None:
        tars: dict[tuple[int, str], list[tuple[int, int]]] = {}
        ends: dict[str, int] = {}
        while page := list(islice(images, PAGE_ROWS)):
            for number, image in enumerate(page, self._listed + 1):
                if image.tar and image.stored:
                    tars.setdefault((image.part, image.tar), []).append((number, image.offset))
                    end = image.offset + padded(image.stored.size)
                    ends[image.tar] = max(end, ends.get(image.tar, 0))
            self._add_page(page)
        for (part, name), places in sorted(tars.items()):
            if self._ledger.pieces.find(name):
                raise ManifestsDisagree(f"{CHECKSUMS} has images of {name} in two places")
            piece = self._ledger.pieces.start_tar(name, day, part)
            is_here = self._describe(piece, name, closed(ends[name]))
            self._ledger.pieces.seal_tar(piece, places)
            if not is_here:
                self._ledger.pieces.set_state(name, self._absent)

    def _describe(self, piece: int, name: str, size: int) -> bool:
        """Record a tar as it lies here, else as SHA256SUMS has it; say whether it is here.

        One that is lost had `size` bytes, so that it is seen to be lost.
        """
        if not self._read_files:
            return True
        listed = self._sums.get(name)
        is_lost = self._absent is PieceState.SEALED
        found = digests_of(self._folder / name) if exists(self._folder / name) else None
        is_listed = found is not None and listed in (None, found.sha256)
        if found and is_listed:
            self._ledger.pieces.written(piece, **asdict(found))
        elif found and not is_lost:
            raise ManifestsDisagree(f"{name} is not what {SUMS} says")
        else:
            size_then = size if is_lost else None
            self._ledger.pieces.written(piece, size=size_then, sha256=listed, md5=None)
        return is_listed

    def _cursor(self) -> str | None:
        """Return a cursor for the page that comes next."""
        return str(self._listed) if self._listed else None

    def _add_page(self, page: list[ListedImage]) -> None:
        """Add images, numbered in their order, and settle those that are settled."""
        first, cursor = self._listed + 1, self._cursor()
        self._listed += len(page)
        rows = [image.row for image in page]
        if any(row.day != capture_day(row.captured_at) for row in rows):
            self._ledger.facts.set(days_differ=True)
        committed = self._ledger.listing.commit(cursor, self._cursor(), rows)
        if committed.new != len(page):
            raise ManifestsDisagree(f"{METADATA} has an image twice, near line {first}")
        numbered = list(enumerate(page, first))
        self._ledger.images.save(
            [replace(image.stored, number=number) for number, image in numbered if image.stored]
        )
        self._ledger.update.note([number for number, image in numbered if image.vanished])
        for state in REASONS:
            settled = [number for number, image in numbered if image.state is state]
            self._ledger.images.settle(settled, state)
