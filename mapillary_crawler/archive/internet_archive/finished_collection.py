"""A finished collection that is to be uploaded: opened, locked and checked."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.identifier import (
    broken_rule,
    volume_identifier,
)
from mapillary_crawler.archive.internet_archive.item_metadata import of_volume
from mapillary_crawler.archive.internet_archive.volumes import volumes
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import digests_of, exists, sha256_of
from mapillary_crawler.collection.layout import LEDGER_PATH, LOGS, METADATA, SUMS
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import titled
from mapillary_crawler.collection.outcome import Outcome, Refused, is_disk_full
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Piece, PieceState
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.ledger.trouble import is_locked
from mapillary_crawler.terminal.program import program_name

#: The fact that names the uploader of each item of ours, null as long as no answer has.
_UPLOADERS = "uploaders"


class _Rehearsed(Exception):
    """What was done is to be undone."""


class FinishedCollection:
    """A collection in the store, its ledger open; made by `opened`."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.ledger = ledger
        self.identifier = folder.name
        #: The same for people: with the user's name beside it where that was escaped.
        self.title = titled(folder.name, ledger.facts.get("username"))
        try:
            self.metadata = read_metadata(folder)
        except OSError as error:
            raise _refused(f"{error.filename} {error.strerror}; nothing is sent") from None

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[FinishedCollection]:
        """Give a collection that may be uploaded; raises `Refused` naming why it may not."""
        _refuse_name(folder)
        try:
            lock = Lock({folder.parent}, folder.name)
        except OSError as error:
            where = error.filename or folder.parent
            outcome = Outcome.DISK_FULL if is_disk_full(error) else Outcome.REFUSED
            raise Refused(outcome, f"{where} cannot be used: {error.strerror}") from None
        try:
            ledger = _open_ledger(folder)
            try:
                collection = cls(folder, ledger)
                collection._refuse_unfinished()
                yield collection
            finally:
                ledger.close()
        finally:
            lock.release()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Undo at the end what the ledger was told inside."""
        with suppress(_Rehearsed), self.ledger.database.transaction():
            yield
            raise _Rehearsed

    def pieces(self) -> list[Piece]:
        """Return the files to upload, in bytewise order: everything but top-level dot names."""
        return [piece for piece in self.ledger.pieces.all() if not piece.name.startswith(".")]

    def assign_volumes(self, *, max_bytes: int, max_files: int) -> dict[str, list[Piece]]:
        """Return the pieces of each volume, by its identifier, and record them in the ledger."""
        try:
            numbers = volumes(
                self.pieces(), self.identifier, max_bytes=max_bytes, max_files=max_files
            )
        except ValueError as error:
            raise _refused(
                f"{self.folder} was uploaded under another name ({error}); rename it back"
            ) from None
        with self.ledger.database.transaction():
            for piece in self.pieces():
                item = volume_identifier(self.identifier, numbers[piece.name])
                if piece.item != item:
                    self.ledger.pieces.set_state(piece.name, piece.state, item)
        result: dict[str, list[Piece]] = {}
        for piece in sorted(self.pieces(), key=lambda piece: (numbers[piece.name], _order(piece))):
            assert piece.item is not None
            result.setdefault(piece.item, []).append(piece)
        return result

    def metadata_of(self, number: int, pieces: list[Piece], *, several: bool) -> Metadata:
        """Return the metadata of a volume, of which there are `several` or only this."""
        if not several:
            return self.metadata
        return of_volume(
            self.metadata,
            self.identifier,
            number,
            images=sum(piece.images for piece in pieces),
            days=[piece.day for piece in pieces if piece.day and piece.images],
        )

    def record_logs(self) -> None:
        """Record the log files, which a finish does not: they belong to the first volume."""
        for log in sorted(self.folder.glob(LOGS)):
            if not stat.S_ISREG(log.lstat().st_mode):
                raise _refused(f"{log} is no file; nothing is sent")
            piece = self.ledger.pieces.find(log.name)
            if piece is None or piece.size != log.stat().st_size:
                self.ledger.pieces.record_file(log.name, **asdict(digests_of(log)))

    @property
    def unsent(self) -> int:
        """Bytes of the files that archive.org has not accepted yet."""
        return sum(piece.size or 0 for piece in self._unsent())

    def _unsent(self) -> Iterator[Piece]:
        sent = (PieceState.UPLOADED, PieceState.REMOVED)
        return (piece for piece in self.ledger.pieces.all() if piece.state not in sent)

    def removable(self, item: str) -> list[Piece]:
        """Return the tars of an item that are here though archive.org has accepted them.

        One that is noted as removed and is still there is what a crash left.
        """
        accepted = (PieceState.UPLOADED, PieceState.REMOVED)
        return [
            piece
            for piece in self.pieces()
            if piece.day
            and piece.item == item
            and piece.state in accepted
            and exists(self.folder / piece.name)
        ]

    def remove(self, piece: Piece) -> None:
        """Remove a tar that `removal_obstacle` has nothing against; the ledger knows it first."""
        self.ledger.pieces.set_state(piece.name, PieceState.REMOVED)
        descent.unlink(self.folder, piece.name)

    def begin_uploaders(self) -> None:
        """Let the ledger keep who archive.org says has uploaded each item that is ours.

        What an earlier version has uploaded is ours.
        """
        if self.ledger.facts.get(_UPLOADERS) is None:
            sent = (PieceState.UPLOADED, PieceState.REMOVED)
            ours = {piece.item for piece in self.pieces() if piece.item and piece.state in sent}
            self.ledger.facts.set(**{_UPLOADERS: dict.fromkeys(sorted(ours))})

    def note_accepted(self, item: str) -> None:
        """Note that archive.org has accepted a file of these keys: the item is ours."""
        uploaders = self.ledger.facts.get(_UPLOADERS, {})
        if item not in uploaders:
            self.ledger.facts.set(**{_UPLOADERS: {**uploaders, item: None}})

    def note_uploader(self, item: str, uploader: Any) -> None:
        """Keep who has uploaded an item of ours, as the first answer after that says."""
        uploaders = self.ledger.facts.get(_UPLOADERS, {})
        if item in uploaders and uploaders[item] is None and isinstance(uploader, str):
            self.ledger.facts.set(**{_UPLOADERS: {**uploaders, item: uploader}})

    def uploader(self, item: str) -> str | None:
        """Return who has uploaded an item, None if that is not known or it is not ours."""
        uploaders: dict[str, str | None] = self.ledger.facts.get(_UPLOADERS, {})
        return uploaders.get(item)

    def check(self, advance: Callable[[int], None]) -> None:
        """Compare what is to be sent with its checksums; raises `Refused` naming a wrong file.

        `advance` hears of the bytes that were read.
        """
        for piece in self._unsent():
            self._check_piece(piece, advance)

    def is_unchanged(self, piece: Piece) -> bool:
        """Say whether a local file still is what the ledger says."""
        try:
            self._check_piece(piece, lambda _: None)
        except Refused:
            return False
        return True

    def _check_piece(self, piece: Piece, advance: Callable[[int], None]) -> None:
        path = self.folder / piece.name
        if piece.state is PieceState.WRITING:
            raise _refused(f"{path} was not finished; run the crawl again")
        try:
            status = descent.status(self.folder, piece.name)
            if not stat.S_ISREG(status.st_mode):
                raise _refused(f"{path} is no file; nothing is sent")
            if status.st_size != piece.size:
                raise _refused(f"{path} has another size than when it was made; nothing is sent")
            sha256 = sha256_of(path, advance)
        except OSError as error:
            raise _refused(f"{path} cannot be read: {error.strerror}; nothing is sent") from None
        if sha256 != piece.sha256:
            raise _refused(
                f"{path} does not match its checksum; nothing is sent. "
                f"See what is wrong with: {program_name()} verify"
            )

    def _refuse_unfinished(self) -> None:
        facts, balance = self.ledger.facts, self.ledger.images.balance()
        if facts.get("finished_at") is None or self.ledger.days.unsealed():
            raise _refused(f"{self.folder} is not finished; run its crawl again")
        if balance.unsettled:
            raise _refused(f"{self.folder} lacks {balance.unsettled} images; run its crawl again")
        if balance.outside:
            raise _refused(f"{self.folder} holds a selection; archive.org gets whole collections")
        if facts.get("tar") is False:
            raise _refused(
                f"{self.folder} was made with tar=0; archive.org is no place for so many files, "
                "crawl it with tar=1"
            )
        if not self.metadata:
            raise _refused(f"{self.folder} has no .meta, so no metadata for its item")


def _order(piece: Piece) -> tuple[bool, bool, bool, str, int, str]:
    """Return a piece's place: metadata first, so that a refusal costs no tar; tars by date.

    SHA256SUMS is last of all: with it an item is complete.
    """
    return (
        piece.name != METADATA,
        piece.day is None,
        piece.name == SUMS,
        piece.day or "",
        piece.part or 0,
        piece.name,
    )


def _refuse_name(folder: Path) -> None:
    if "+" in folder.name:
        raise _refused(
            f"{folder} is a selection, which must not be mistaken for the whole: "
            "archive.org gets whole collections only"
        )
    rule = broken_rule(folder.name)
    if rule:
        raise _refused(f"archive.org would refuse the identifier {folder.name!r}: {rule}")


def _open_ledger(folder: Path) -> Ledger:
    path = folder / LEDGER_PATH
    if not path.is_file():
        hint = (
            "; was it made by mapillary_downloader? "
            f"Take it over with: {program_name()} adopt {folder}"
            if (folder / METADATA).exists()
            else ""
        )
        raise _refused(f"{folder} is no collection of this program, it has no ledger{hint}")
    try:
        return Ledger(path, wal=False)
    except LedgerTooNew as error:
        raise _refused(f"{path} cannot be read: {error}") from None
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: sqlite3.DatabaseError) -> Refused:
    if not isinstance(error, sqlite3.OperationalError):  # it is no database, or a broken one
        return _refused(f"{path} cannot be read: {error}; nothing is changed")
    if is_disk_full(error):
        return Refused(Outcome.DISK_FULL, f"no space left for the ledger: {error}")
    if is_locked(error):
        return Refused(
            Outcome.LOCKED,
            f"another process reads {path}, perhaps {program_name()} verify; wait for it",
        )
    return _refused(
        f"{path} cannot be written: {error}; nothing is changed. See that its disk is writable and "
        "whole, or upload a copy of the collection from another disk"
    )


def _refused(message: str) -> Refused:
    return Refused(Outcome.REFUSED, message)
