"""The ledger of a collection of ours, of the manifests that its item has."""

from __future__ import annotations

import gzip
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.adopt.foreign_folder import ForeignTar
from mapillary_crawler.archive.adopt.judged import Judge
from mapillary_crawler.archive.finish.finishing import contents_of
from mapillary_crawler.archive.finish.manifest_reader import ManifestsDisagree
from mapillary_crawler.archive.finish.meta import write_tags
from mapillary_crawler.archive.finish.parts import padded, size_of
from mapillary_crawler.archive.finish.rebuild import rebuild_ledger
from mapillary_crawler.archive.finish.sums import read_sums
from mapillary_crawler.archive.finish.tags import Metadata, tags
from mapillary_crawler.archive.finish.work import Work, require_space
from mapillary_crawler.archive.from_archive_org.fetched import TarOfItem, fetch
from mapillary_crawler.archive.from_archive_org.found_item import (
    FoundItem,
    ItemFile,
    ItemSource,
    refused,
)
from mapillary_crawler.archive.from_archive_org.noted import note_item, note_there, reserve
from mapillary_crawler.archive.internet_archive.trouble import Denied
from mapillary_crawler.archive.internet_archive.uploaded_collection import UPLOADED_AT
from mapillary_crawler.archive.repair.from_files import found_files
from mapillary_crawler.archive.repair.identity import collection_named, facts_said, page_said
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sha256_of
from mapillary_crawler.collection.layout import (
    CHECKSUMS,
    EXTENSIONS,
    LEDGER_PATH,
    MANIFESTS,
    METADATA,
    PAGE,
    SCRATCH,
    SUMS,
    THUMBNAIL,
    VIEWS,
)
from mapillary_crawler.collection.limits import META_BYTES, SUMS_BYTES
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FORMAT, Piece, PieceState
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.work_display import WorkDisplay

#: Packed manifests that are not there as long as they would have no line.
_PACKED = (METADATA, CHECKSUMS)
#: Tags that say which version has made a collection, and how many of their values are taken.
_AS_MADE, _VALUES = ("scanner", "mapillary_downloader", "mapillary_crawler_format"), 10
_NOT_THERE = "archive.org has no tar that could hold it"


class OurItem:
    """The adoption of an item into the new folder `place`; `lines` say what it came to."""

    def __init__(
        self, found: FoundItem, source: ItemSource, place: Path, shown: WorkDisplay
    ) -> None:
        collection = collection_named(found.identifier, found.metadata)
        if collection is None:
            raise refused(f"{found.identifier} names another user than its metadata does")
        self.collection = collection
        self.lines: list[str] = []
        #: Bytes of each tar whose sha256 nobody knows.
        self._unhashed: list[int] = []
        self._found = found
        self._source = source
        self._place = place
        self._shown = shown

    def adopt(self, *, read_tars: bool, walk: bool) -> bool:
        """Make the ledger; say whether the collection is finished, and all of it is there.

        Raises `Refused`, `Trouble`, `OSError`.
        """
        facts = self._facts()
        self._fetch_manifests()
        closed = self._are_of_finished()
        if closed:
            facts |= page_said(facts["format"], there=PAGE in self._found.files)
        else:
            descent.unlink(self._place, SUMS)
        ledger_path = self._place / LEDGER_PATH
        try:
            rebuild_ledger(self._place, ledger_path, self.collection, tar=True, facts=facts)
        except (ManifestsDisagree, ValueError, OverflowError, RecursionError) as error:
            raise refused(
                f"the manifests of {self._found.identifier} are damaged: {error}"
            ) from None
        with closing(Ledger(ledger_path)) as ledger:
            return self._settle(ledger, closed=closed, read_tars=read_tars, walk=walk)

    def _facts(self) -> dict[str, Any]:
        facts = facts_said(self._found.metadata, self.collection) | {"tar": True}
        if facts["format"] > FORMAT:
            raise refused(
                f"{self._found.identifier} has format {facts['format']}, this program knows "
                f"{FORMAT}; run the version that made it, or a later one"
            )
        return facts

    def _fetch_manifests(self) -> None:
        files = self._found.files
        wanted = [files[name] for name in (*MANIFESTS, *VIEWS, SUMS) if name in files]
        size = sum(file.size for file in wanted)
        require_space(self._place, size, "the manifests")
        self._shown.begin("fetching", len(wanted), size)
        for file in wanted:
            self._shown.begin_file(file.name, file.size)
            self._fetch(file)
            self._shown.end_file()
        for name in _PACKED:
            if name not in files:
                (self._place / name).write_bytes(gzip.compress(b"", mtime=0))
        thumbnail = files.get(THUMBNAIL)
        if thumbnail and thumbnail.size <= META_BYTES:
            with suppress(Refused, Denied):  # archive.org makes it anew at times
                self._fetch(thumbnail)

    def _fetch(self, file: ItemFile) -> None:
        fetch(self._source, file, self._place, self._place / SCRATCH, self._shown.advance)

    def _are_of_finished(self) -> bool:
        """Say whether the manifests are those of a finished collection: SHA256SUMS names them."""
        if not set(_PACKED) | {SUMS} <= self._found.files.keys():
            return False
        if self._found.files[SUMS].size > SUMS_BYTES:
            raise refused(f"{SUMS} of {self._found.identifier} is too large to be one")
        try:
            sums = dict(read_sums(self._place / SUMS))
        except ValueError:
            return False
        told = (*MANIFESTS, *VIEWS)
        there = [name for name in told if name in self._found.files]
        return all(sums.get(name) == sha256_of(self._place / name) for name in there) and (
            set(there) == set(told) & sums.keys()
        )

    def _settle(self, ledger: Ledger, *, closed: bool, read_tars: bool, walk: bool) -> bool:
        pieces = [piece for piece in ledger.pieces.all() if piece.day]
        known = {piece.name for piece in pieces}
        lost = sum(not self._place_tar(ledger, piece, read=read_tars) for piece in pieces)
        unknown = [tar for tar in self._found.tars() if tar[0].name not in known]
        if unknown and read_tars:
            self._read(ledger, unknown, walk=walk)
        elif unknown:
            size = sum(file.size for file, _, _ in unknown)
            self.lines.append(
                f"{len(unknown):,} tars of it ({quantities.size(size)}) came after its manifests; "
                "--read-tars reads them and keeps nothing, else their images are fetched again"
            )
        if self._unhashed:
            size = sum(self._unhashed)
            self.lines.append(
                f"{SUMS} will not name {len(self._unhashed):,} tars of it: their sha256 is known "
                f"to who reads them, with --read-tars ({quantities.size(size)})"
            )
        finished = closed and not lost and not ledger.images.balance().unsettled
        if finished:
            self._finish(ledger)
        else:
            self._open(ledger, closed=closed)
        note_item(ledger, self._found)
        return finished

    def _place_tar(self, ledger: Ledger, piece: Piece, *, read: bool) -> bool:
        """Note where a tar is; one that no item has is lost, and its images are wanted."""
        file = self._found.files.get(piece.name)
        if file is None:
            ledger.lost.open(piece, ())
            return False
        images = list(ledger.images.in_piece(piece))
        if file.size >= max((image.offset or 0) + padded(size_of(image)) for image in images):
            sha256 = piece.sha256
            if sha256 is None and read:
                sha256 = TarOfItem(self._source, file).digests().sha256
            elif sha256 is None:
                self._unhashed.append(file.size)
            note_there(ledger, file, sha256)
            return True
        ledger.images.unsettle([image.number for image in images], _NOT_THERE)
        assert piece.day is not None
        reserve(ledger, file, piece.day, piece.part or 0)
        return False

    def _read(self, ledger: Ledger, tars: list[tuple[ItemFile, str, int]], *, walk: bool) -> None:
        """Read tars that no manifest knows; their images are saved once they are listed."""
        self._shown.begin("reading", len(tars), sum(file.size for file, _, _ in tars))
        with Judge(walk=walk) as judge:
            for file, day, part in tars:
                self._shown.begin_file(file.name, file.size)
                self._read_one(ledger, judge, file, day, part)
                self._shown.end_file()
        ledger.found.take(1)

    def _read_one(self, ledger: Ledger, judge: Judge, file: ItemFile, day: str, part: int) -> None:
        remote = TarOfItem(self._source, file)
        number = ledger.pieces.start_tar(file.name, day, part)
        tar = ForeignTar(Path(file.name), day, part, EXTENSIONS, remote)
        damage: list[str] = []
        others = 0
        for good, bad in found_files(judge.tar(tar, damage.append), number):
            wanted = ledger.listing.known([each.image_id for each in good])
            ledger.found.add([each for each in good if wanted.get(each.image_id, True)])
            others += len(bad)
            self._shown.advance(sum(each.size for each in good) + sum(each.size for each in bad))
        ledger.pieces.seal_tar(number, [])
        note_there(ledger, file, remote.digests().sha256)
        if others:
            self.lines.append(f"{others:,} members of {file.name} are no whole images")
        self.lines += damage[:1]

    def _finish(self, ledger: Ledger) -> None:
        """Complete what a finished collection has beside its tars."""
        for name in (*MANIFESTS, *VIEWS, SUMS, THUMBNAIL):
            if ledger.pieces.find(name):
                ledger.pieces.set_state(name, PieceState.UPLOADED, self._found.identifier)
        work = Work(LedgerHere(ledger), self._place, lambda: False, self._shown.say)
        work.make_scratch()
        write_tags(work, self._tags(ledger))
        now = int(time.time())
        since = self._found.files[SUMS].modified
        finished_at = since if since is not None and since <= now else now
        ledger.facts.set(**{"finished_at": finished_at, UPLOADED_AT: now})

    def _tags(self, ledger: Ledger) -> Metadata:
        """Return what `.meta` has: who made the collection is as the item says.

        Its description, too, unless that is of one volume of several.
        """
        result = tags(contents_of(ledger, self.collection, tar=True))
        in_one = all(file.item == self._found.identifier for file, _, _ in self._found.tars())
        for tag in (*_AS_MADE, "description") if in_one else _AS_MADE:
            said = self._found.metadata.get(tag, [])[:_VALUES]
            result[tag] = [value for value in said if len(value) < META_BYTES // 4]
        return {tag: values for tag, values in result.items() if values}

    def _open(self, ledger: Ledger, *, closed: bool) -> None:
        """Leave the rest to a crawl, which lists again unless the manifests are of a whole list."""
        for name in (*MANIFESTS, *VIEWS, SUMS, THUMBNAIL):
            ledger.pieces.forget(name)
            descent.unlink(self._place, name)
        if not closed:
            ledger.listing.reopen()
