"""What a collection ought to hold, as its ledger says."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.verify.inventory import ExpectedFile, Inventory, Kind, Problem
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.durable import exists
from mapillary_crawler.collection.layout import LEDGER_PATH, is_own
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.records import Member, Piece, PieceState, State
from mapillary_crawler.ledger.thread import LedgerHere


class LedgerInventory(Inventory):
    """The ledger, opened for reading; raises what `read_ledger` raises."""

    authority = "the ledger"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ledger = read_ledger(folder)
        self._passed_over: dict[str, set[tuple[str, int]]] = {}
        for tar, member, offset in self._ledger.facts.get("passed_over", ()):
            self._passed_over.setdefault(tar, set()).add((member, offset))
        self._damaged = frozenset(self._ledger.facts.get("damaged_tars", ()))
        #: Of one tar at a time: what later ones of its day have.
        self._later: dict[int, set[str]] = {}
        self._is_update = self._ledger.update.is_on
        balance = self._ledger.images.balance()
        self.finished = (
            self._ledger.facts.get("finished_at") is not None
            and self._ledger.listing.position().closed
            and not balance.unsettled
        )

    def files(self) -> Iterator[ExpectedFile]:
        """Yield pieces and loose images."""
        loose = (
            ExpectedFile(
                image.member,
                image.size,
                image.sha256_stored,
                image.state is State.DAMAGED,
                sha256_jpeg=image.sha256_jpeg,
            )
            for image in streams.all_loose(LedgerHere(self._ledger))
        )
        return filter(
            self._is_to_be_here,
            heapq.merge(self._pieces(), loose, key=lambda file: os.fsencode(file.path)),
        )

    def _is_to_be_here(self, file: ExpectedFile) -> bool:
        """Say whether a file may be missed: of an update in staging, most is in the store."""
        return not self._is_update or exists(self.folder / file.path)

    def _pieces(self) -> Iterator[ExpectedFile]:
        for piece in self._ledger.pieces.all():
            if piece.state not in (PieceState.WRITING, PieceState.LOST):
                removed = piece.state is PieceState.REMOVED
                elsewhere = (piece.item or "archive.org") if removed else None
                yield ExpectedFile(
                    piece.name,
                    piece.size,
                    piece.sha256,
                    damaged=piece.name in self._damaged,
                    elsewhere=elsewhere,
                    passed_over=frozenset(self._passed_over.get(piece.name, ())),
                    superseded=partial(self._is_superseded, piece),
                )

    def _is_superseded(self, piece: Piece, stem: str) -> bool:
        """Say whether a later tar of the day has an image; asked where a tar has one too many."""
        if piece.day is None or piece.part is None:
            return False
        if piece.number not in self._later:
            self._later = {piece.number: self._ledger.survey.stems_behind(piece)}
        return stem in self._later[piece.number]

    def holders(self) -> Iterator[tuple[ExpectedFile, Iterator[Member] | None]]:
        """Yield the tars."""
        for file in filter(self._is_to_be_here, self._pieces()):
            piece = self._ledger.pieces.find(file.path)
            if piece is not None and piece.day is not None:
                yield file, self._ledger.survey.members(piece)

    def is_own(self, path: str) -> bool:
        """Say whether a file is the crawl's own, metadata for archive.org, or a log."""
        return is_own(path)

    def balance(self) -> Balance:
        """Return the ledger's balance."""
        return self._ledger.images.balance()

    def disagreements(self) -> Iterator[Problem]:
        """Yield where the balance is not what the rows are."""
        kept, counted = self._ledger.survey.kept(), self._ledger.survey.recount()
        for state in State:
            images, size = counted.get(state, (0, 0))
            if kept[state] != (images, size):
                detail = (
                    f"{images} images and {size} bytes are {state.name.lower()}, its balance says "
                    f"{kept[state][0]} and {kept[state][1]}"
                )
                yield Problem(str(LEDGER_PATH), Kind.DISAGREES, detail)

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()
