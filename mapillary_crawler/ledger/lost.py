"""Tars that were lost, and what was in them: so that the same tar may be made again."""

from __future__ import annotations

from collections.abc import Collection

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import Images, records
from mapillary_crawler.ledger.pieces import Pieces
from mapillary_crawler.ledger.records import DayState, ImageRecord, Piece, PieceState, State

_ERROR = "its tar was lost, or did not match its checksum"


class Lost:
    """A lost tar keeps its name, until its images are in tars again."""

    def __init__(self, database: Database, images: Images, pieces: Pieces) -> None:
        self._database = database
        self._images = images
        self._pieces = pieces

    def open(self, piece: Piece, kept: Collection[int]) -> int:
        """Note that a tar is lost; its images are wanted, but for those `kept` as loose files.

        Returns how many are wanted.
        """
        with self._database.transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO lost_images SELECT number, piece, sha256_stored "
                "FROM images WHERE day = ? AND piece = ?",
                (piece.day, piece.number),
            )
            numbers = [
                row[0]
                for row in self._database.execute(
                    "SELECT number FROM lost_images WHERE piece = ?", (piece.number,)
                )
            ]
            wanted = [number for number in numbers if number not in kept]
            self._images.unsettle(wanted, _ERROR)
            self._database.executemany(
                "UPDATE images SET piece = NULL, offset = NULL WHERE number = ?",
                ((number,) for number in kept),
            )
            self._pieces.set_state(piece.name, PieceState.LOST)
            self._database.execute(
                f"UPDATE days SET state = {DayState.OPEN:d} WHERE day = ?", (piece.day,)
            )
        return len(wanted)

    def came_back(self, day: str) -> list[tuple[Piece, list[ImageRecord] | None]]:
        """Return the lost tars of a day, by part, each with its images in the order of members.

        None where one of them is missing, or is another than then: such a tar is forgotten, and
        its images are as any others.
        """
        lost = [piece for piece in self._pieces.of_day(day) if piece.state is PieceState.LOST]
        found = [(piece, self._as_then(piece)) for piece in lost]
        for piece, images in found:
            if images is None:
                self.forget(piece)
        return found

    def _as_then(self, piece: Piece) -> list[ImageRecord] | None:
        as_then = (
            "JOIN lost_images ON lost_images.number = images.number "
            "WHERE lost_images.piece = ? AND images.piece IS NULL "
            f"AND images.state IN ({State.SAVED:d}, {State.DAMAGED:d}) "
            "AND images.sha256_stored = lost_images.sha256"
        )
        images = records(self._database, as_then, (piece.number,))
        found = sorted(images, key=lambda image: image.member.encode())
        return found if len(found) == piece.images else None

    def forget(self, piece: Piece) -> None:
        """Forget what was in a lost tar: it was made again, or never can be."""
        with self._database.transaction():
            self._database.execute("DELETE FROM lost_images WHERE piece = ?", (piece.number,))
            lost = f"state = {PieceState.LOST:d}"
            self._database.execute(
                f"DELETE FROM pieces WHERE number = ? AND {lost}", (piece.number,)
            )
