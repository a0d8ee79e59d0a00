"""A collection whose files go to archive.org: what of it was sent, is ours, may go here."""

from __future__ import annotations

import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.identifier import volume_identifier
from mapillary_crawler.archive.internet_archive.volumes import volumes
from mapillary_crawler.archive.on_archive_org import UPLOADERS, VERIFIED
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import exists, sha256_of
from mapillary_crawler.collection.layout import METADATA, SUMS
from mapillary_crawler.collection.names import titled
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SENT, Piece, PieceState
from mapillary_crawler.ledger.thread import LedgerAccess
from mapillary_crawler.terminal.program import program_name

#: The fact that says when all of a finished collection was there.
UPLOADED_AT = "uploaded_at"


class UploadedCollection(ABC):
    """A folder and its ledger, which may belong to another thread.

    `identifier` is that of its first item.
    """

    def __init__(self, folder: Path, access: LedgerAccess, identifier: str) -> None:
        self.folder = folder
        self.access = access
        self.identifier = identifier

    @property
    def title(self) -> str:
        """The name for people: with the user's beside it where that was escaped."""
        username = self.access.wait_for(lambda ledger: ledger.facts.get("username"))
        return titled(self.identifier, username if isinstance(username, str) else None)

    @abstractmethod
    def pieces(self) -> list[Piece]:
        """Return the files to upload, in bytewise order."""

    @abstractmethod
    def metadata_of(self, number: int, pieces: list[Piece], *, several: bool) -> Metadata:
        """Return the metadata of a volume, of which there are `several` or only this."""

    def assign_volumes(
        self, *, max_bytes: int, max_files: int, to_come: int = 0
    ) -> dict[str, list[Piece]]:
        """Return the pieces of each volume, by its identifier, and record them in the ledger.

        `to_come` files are kept room for in the first one.
        """
        pieces = self.pieces()
        try:
            numbers = volumes(
                pieces,
                self.identifier,
                max_bytes=max_bytes,
                max_files=max_files,
                to_come=to_come,
            )
        except ValueError as error:
            raise refused(
                f"{self.folder} was uploaded under another name ({error}); rename it back"
            ) from None
        items = {name: volume_identifier(self.identifier, numbers[name]) for name in numbers}
        moved = [piece for piece in pieces if piece.item != items[piece.name]]

        def record(ledger: Ledger) -> None:
            with ledger.database.transaction():
                for piece in moved:
                    ledger.pieces.set_state(piece.name, piece.state, items[piece.name])

        if moved:
            self.access.wait_for(record)
            # A tar that was sealed meanwhile has its turn when this is asked again.
            pieces = [piece for piece in self.pieces() if piece.name in numbers]
        result: dict[str, list[Piece]] = {}
        for piece in sorted(pieces, key=lambda piece: (numbers[piece.name], _order(piece))):
            result.setdefault(items[piece.name], []).append(piece)
        return result

    def removable(self, item: str) -> list[Piece]:
        """Return the tars of an item that are here though archive.org has accepted them.

        One that is noted as removed and is still there is what a crash left.
        """
        return [
            piece
            for piece in self.pieces()
            if piece.day
            and piece.item == item
            and piece.state in SENT
            and exists(self.folder / piece.name)
        ]

    def remove(self, piece: Piece) -> None:
        """Remove a tar that `removal_obstacle` has nothing against; the ledger knows it first."""
        self.access.wait_for(lambda ledger: ledger.pieces.set_state(piece.name, PieceState.REMOVED))
        descent.unlink(self.folder, piece.name)

    def begin_uploaders(self) -> None:
        """Let the ledger keep who archive.org says has uploaded each item that is ours.

        What an earlier version has uploaded is ours.
        """
        ours = {piece.item for piece in self.pieces() if piece.item and piece.state in SENT}

        def begin(ledger: Ledger) -> None:
            if ledger.facts.get(UPLOADERS) is None:
                ledger.facts.set(**{UPLOADERS: dict.fromkeys(sorted(ours))})

        self.access.wait_for(begin)

    def note_held(self, piece: Piece, item: str) -> None:
        """Note that an item has a piece already, whoever has sent it."""
        self.access.wait_for(
            lambda ledger: ledger.pieces.set_state(piece.name, PieceState.UPLOADED, item)
        )

    def note_accepted(self, piece: Piece, item: str) -> None:
        """Note that archive.org has accepted a file of these keys: the item is ours."""

        def note(ledger: Ledger) -> None:
            with ledger.database.transaction():
                self.take(ledger, item)
                _forget_verification(ledger, item)
                ledger.pieces.set_state(piece.name, PieceState.UPLOADED, item)

        self.access.wait_for(note)

    @staticmethod
    def take(ledger: Ledger, item: str) -> None:
        """Note that an item is ours."""
        uploaders = ledger.facts.get(UPLOADERS, {})
        if item not in uploaders:
            ledger.facts.set(**{UPLOADERS: {**uploaders, item: None}})

    def note_lost(self, piece: Piece) -> None:
        """Note that a piece is to be sent again, since archive.org does not have it."""
        self.access.wait_for(lambda ledger: ledger.pieces.set_state(piece.name, PieceState.SEALED))

    def note_verified(self, item: str) -> None:
        """Note that all that an item was sent is there now."""

        def note(ledger: Ledger) -> None:
            verified = {**ledger.facts.get(VERIFIED, {}), item: int(time.time())}
            ledger.facts.set(**{VERIFIED: verified})

        self.access.wait_for(note)

    def note_uploader(self, item: str, uploader: Any) -> None:
        """Keep who has uploaded an item of ours, as the first answer after that says."""

        def note(ledger: Ledger) -> None:
            uploaders = ledger.facts.get(UPLOADERS, {})
            if item in uploaders and uploaders[item] is None and isinstance(uploader, str):
                ledger.facts.set(**{UPLOADERS: {**uploaders, item: uploader}})

        self.access.wait_for(note)

    def note_uploaded(self) -> None:
        """Note that all that there is of the collection is on archive.org, as it should be."""
        self.access.wait_for(lambda ledger: ledger.facts.set(**{UPLOADED_AT: int(time.time())}))

    def uploader(self, item: str) -> str | None:
        """Return who has uploaded an item, None if that is not known or it is not ours."""
        uploaders: dict[str, str | None] = self.access.wait_for(
            lambda ledger: ledger.facts.get(UPLOADERS, {})
        )
        return uploaders.get(item)

    def is_unchanged(self, piece: Piece) -> bool:
        """Say whether a local file still is what the ledger says."""
        try:
            self.check_piece(piece, lambda _: None)
        except Refused:
            return False
        return True

    def check_size(self, piece: Piece) -> None:
        """Raise `Refused` where a local file is at a glance not what the ledger says."""
        path = self.folder / piece.name
        try:
            status = descent.status(self.folder, piece.name)
        except OSError as error:
            raise refused(f"{path} cannot be read: {error.strerror}; nothing is sent") from None
        if not stat.S_ISREG(status.st_mode):
            raise refused(f"{path} is no file; nothing is sent")
        if status.st_size != piece.size:
            raise refused(f"{path} has another size than when it was made; nothing is sent")

    def check_piece(self, piece: Piece, advance: Callable[[int], None]) -> None:
        """Raise `Refused` where it is not that."""
        path = self.folder / piece.name
        if piece.state is PieceState.WRITING:
            raise refused(f"{path} was not finished; run the crawl again")
        self.check_size(piece)
        try:
            sha256 = sha256_of(path, advance)
        except OSError as error:
            raise refused(f"{path} cannot be read: {error.strerror}; nothing is sent") from None
        if sha256 != piece.sha256:
            raise refused(
                f"{path} does not match its checksum; nothing is sent. "
                f"See what is wrong with: {program_name()} verify"
            )


def is_uploaded(ledger: Ledger, folder: Path, *, remove: bool) -> bool:
    """Say whether a finished collection needs no upload; with `remove`, nor tars that are here."""
    pieces = [piece for piece in ledger.pieces.all() if not piece.name.startswith(".")]
    verified = ledger.facts.get(VERIFIED, {})
    return (
        ledger.facts.get(UPLOADED_AT, 0) >= int(ledger.facts.get("finished_at") or 0)
        and all(piece.state in SENT and piece.item in verified for piece in pieces)
        and not (remove and any(piece.day and exists(folder / piece.name) for piece in pieces))
    )


def refused(message: str) -> Refused:
    """Return the refusal of a collection that cannot be uploaded as it is."""
    return Refused(Outcome.REFUSED, message)


def _forget_verification(ledger: Ledger, item: str) -> None:
    verified = ledger.facts.get(VERIFIED, {})
    if verified.pop(item, None) is not None:
        ledger.facts.set(**{VERIFIED: verified})


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
