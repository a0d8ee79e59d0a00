"""A finished collection that is to be uploaded: opened, locked and checked."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from mapillary_crawler.archive.finish.errors import FinishError
from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.identifier import broken_rule
from mapillary_crawler.archive.internet_archive.item_metadata import of_volume
from mapillary_crawler.archive.internet_archive.uploaded_collection import (
    UploadedCollection,
    refused,
)
from mapillary_crawler.archive.update.journal import finish_update
from mapillary_crawler.collection.durable import digests_of
from mapillary_crawler.collection.layout import CHECKSUMS, LEDGER_PATH, LOGS, METADATA
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Outcome, Refused, is_disk_full
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SENT, Piece
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.ledger.thread import LedgerAccess, LedgerHere
from mapillary_crawler.ledger.trouble import is_locked
from mapillary_crawler.terminal.program import program_name


class _Rehearsed(Exception):
    """What was done is to be undone."""


class FinishedCollection(UploadedCollection):
    """A collection in the store, its ledger open; made by `opened`."""

    def __init__(self, folder: Path, access: LedgerAccess) -> None:
        super().__init__(folder, access, folder.name)
        try:
            self.metadata = read_metadata(folder)
        except OSError as error:
            raise refused(f"{error.filename} {error.strerror}; nothing is sent") from None

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
            _finish_update(folder)
            ledger = _open_ledger(folder)
            try:
                collection = cls(folder, LedgerHere(ledger))
                collection.refuse_unfinished()
                yield collection
            finally:
                ledger.close()
        finally:
            lock.release()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Undo at the end what the ledger was told inside."""
        with (
            suppress(_Rehearsed),
            self.access.wait_for(lambda ledger: ledger.database.transaction()),
        ):
            yield
            raise _Rehearsed

    def pieces(self) -> list[Piece]:
        """Return the files to upload, in bytewise order: everything but top-level dot names."""
        return [piece for piece in self._all() if not piece.name.startswith(".")]

    def _all(self) -> list[Piece]:
        return self.access.wait_for(lambda ledger: list(ledger.pieces.all()))

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
                raise refused(f"{log} is no file; nothing is sent")
            piece = next((piece for piece in self._all() if piece.name == log.name), None)
            if piece is None or piece.size != log.stat().st_size:
                self._record(log)

    def _record(self, log: Path) -> None:
        digests = asdict(digests_of(log))
        self.access.wait_for(lambda ledger: ledger.pieces.record_file(log.name, **digests))

    @property
    def unsent(self) -> int:
        """Bytes of the files that archive.org has not accepted yet."""
        return sum(piece.size or 0 for piece in self._unsent())

    def _unsent(self) -> Iterator[Piece]:
        return (piece for piece in self._all() if piece.state not in SENT)

    def check(self, advance: Callable[[int], None]) -> None:
        """Compare what is to be sent with its checksums; raises `Refused` naming a wrong file.

        `advance` hears of the bytes that were read.
        """
        for piece in self._unsent():
            self.check_piece(piece, advance)

    def refuse_unfinished(self) -> None:
        """Raise `Refused` for what is not finished, or has no place on archive.org."""
        self.access.wait_for(self._refuse_unfinished)

    def _refuse_unfinished(self, ledger: Ledger) -> None:
        facts, balance = ledger.facts, ledger.images.balance()
        if facts.get("finished_at") is None or ledger.days.unsealed():
            raise refused(f"{self.folder} is not finished; run its crawl again")
        if balance.unsettled:
            raise refused(f"{self.folder} lacks {balance.unsettled} images; run its crawl again")
        if balance.outside:
            raise refused(f"{self.folder} holds a selection; archive.org gets whole collections")
        if facts.get("tar") is False:
            raise refused(
                f"{self.folder} was made with tar=0; archive.org is no place for so many files, "
                "crawl it with tar=1"
            )
        if not self.metadata:
            raise refused(f"{self.folder} has no .meta, so no metadata for its item")


def _refuse_name(folder: Path) -> None:
    if "+" in folder.name:
        raise refused(
            f"{folder} is a selection, which must not be mistaken for the whole: "
            "archive.org gets whole collections only"
        )
    rule = broken_rule(folder.name)
    if rule:
        raise refused(f"archive.org would refuse the identifier {folder.name!r}: {rule}")


def _finish_update(folder: Path) -> None:
    """Bring an update that is half done to its end; raises `Refused` where it cannot be."""
    try:
        finish_update(folder)
    except FinishError as error:
        raise Refused(error.outcome, str(error)) from None
    except OSError as error:
        raise refused(f"{error.filename or folder}: {error.strerror}; nothing is sent") from None


def _open_ledger(folder: Path) -> Ledger:
    path = folder / LEDGER_PATH
    if not path.is_file():
        hint = ""
        if (folder / CHECKSUMS).exists():
            hint = f"; if it had one, make it anew with: {program_name()} repair {folder}"
        elif (folder / METADATA).exists():
            hint = (
                "; was it made by mapillary_downloader? "
                f"Take it over with: {program_name()} adopt {folder}"
            )
        raise refused(f"{folder} is no collection of this program, it has no ledger{hint}")
    try:
        return Ledger(path, wal=False)
    except LedgerTooNew as error:
        raise refused(f"{path} cannot be read: {error}") from None
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: sqlite3.DatabaseError) -> Refused:
    if not isinstance(error, sqlite3.OperationalError):  # it is no database, or a broken one
        return refused(f"{path} cannot be read: {error}; nothing is changed")
    if is_disk_full(error):
        return Refused(Outcome.DISK_FULL, f"no space left for the ledger: {error}")
    if is_locked(error):
        return Refused(
            Outcome.LOCKED,
            f"another process reads {path}, perhaps {program_name()} verify; wait for it",
        )
    return refused(
        f"{path} cannot be written: {error}; nothing is changed. See that its disk is writable and "
        "whole, or upload a copy of the collection from another disk"
    )
