"""The files of the finished collection: tars, manifests, `.meta`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.records import Amount, Piece, PieceState

_COLUMNS = "number, name, day, part, images, bytes, sha256, md5, state, item FROM pieces"


class Pieces:
    """A tar is recorded with its members' places in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start_tar(self, name: str, day: str, part: int) -> int:
        """Record that a tar is being written and return the piece's number."""
        number: int = self._database.value(
            "INSERT INTO pieces (name, day, part) VALUES (?, ?, ?) ON CONFLICT (name) "
            "DO UPDATE SET part = excluded.part RETURNING number",
            (name, day, part),
        )
        return number

    def written(
        self, number: int, *, size: int | None, sha256: bytes | None, md5: bytes | None
    ) -> None:
        """Record what a tar is, before it gets its name: so a crash leaves no stranger.

        What is not known of a tar that is not here is None.
        """
        self._database.execute(
            "UPDATE pieces SET bytes = ?, sha256 = ?, md5 = ? WHERE number = ?",
            (size, sha256, md5, number),
        )

    def seal_tar(self, number: int, offsets: Iterable[tuple[int, int]]) -> None:
        """Record that a written tar has its name, and where its members are.

        `offsets` are pairs of image number and offset of the image's own bytes.
        """
        places = [(number, offset, image) for image, offset in offsets]
        with self._database.transaction():
            self._database.execute(
                f"UPDATE pieces SET images = ?, state = {PieceState.SEALED:d} WHERE number = ?",
                (len(places), number),
            )
            self._database.executemany(
                "UPDATE images SET piece = ?, offset = ? WHERE number = ?", places
            )

    def next_part(self, day: str) -> int:
        """Return the number of the day's next tar; one that was never sealed does not count."""
        part: int = self._database.value(
            "SELECT coalesce(max(part) + 1, 0) FROM pieces "
            f"WHERE day = ? AND state <> {PieceState.WRITING:d}",
            (day,),
        )
        return part

    def unfinished(self) -> list[Piece]:
        """Return the tars that a crash left between their start and their seal."""
        rows = self._database.execute(f"SELECT {_COLUMNS} WHERE state = {PieceState.WRITING:d}")
        return [_piece(row) for row in rows]

    def record_file(self, name: str, *, size: int, sha256: bytes, md5: bytes) -> None:
        """Record a file that is no tar; written again, it replaces what was recorded."""
        self._database.execute(
            "INSERT INTO pieces (name, bytes, sha256, md5, state) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256, "
            "md5 = excluded.md5, state = excluded.state, item = NULL",
            (name, size, sha256, md5, PieceState.SEALED),
        )

    def set_state(self, name: str, state: PieceState, item: str | None = None) -> None:
        """Note how far a piece is, and the item that holds it."""
        self._database.execute(
            "UPDATE pieces SET state = ?, item = coalesce(?, item) WHERE name = ?",
            (state, item, name),
        )

    def forget(self, name: str) -> None:
        """Drop the record of a piece that was never sealed or is no longer made."""
        self._database.execute("DELETE FROM pieces WHERE name = ?", (name,))

    def find(self, name: str) -> Piece | None:
        """Return the piece of that name."""
        row = self._database.execute(f"SELECT {_COLUMNS} WHERE name = ?", (name,)).fetchone()
        return _piece(row) if row else None

    def of_day(self, day: str) -> list[Piece]:
        """Return a day's tars by part."""
        rows = self._database.execute(f"SELECT {_COLUMNS} WHERE day = ? ORDER BY part", (day,))
        return [_piece(row) for row in rows]

    def amounts(self) -> list[Amount]:
        """Return how much of what archive.org gets (no top-level dot names) is in which state."""
        rows = self._database.execute(
            "SELECT state, item, count(*), coalesce(sum(bytes), 0) FROM pieces "
            "WHERE substr(name, 1, 1) <> '.' GROUP BY state, item"
        )
        return [Amount(PieceState(state), *rest) for state, *rest in rows]

    def has_lost(self, day: str) -> bool:
        """Say whether a tar of a day was lost: its images are to be together in it again."""
        return any(piece.state is PieceState.LOST for piece in self.of_day(day))

    def all(self) -> Iterator[Piece]:
        """Yield all pieces in bytewise order of their names."""
        return (_piece(row) for row in self._database.execute(f"SELECT {_COLUMNS} ORDER BY name"))


def _piece(row: tuple[object, ...]) -> Piece:
    *most, state, item = row
    return Piece(*most, PieceState(state), item)  # type: ignore[arg-type,call-arg]
