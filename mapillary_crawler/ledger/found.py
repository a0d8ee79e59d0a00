"""Files that were found without a ledger: they are saved images as soon as they are listed."""

from __future__ import annotations

from collections.abc import Sequence

from mapillary_crawler.collection.layout import OTHER_EXTENSIONS
from mapillary_crawler.collection.names import member_path
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.records import Bare, FoundFile, State

_OTHER = ",".join(f"'{extension}'" for extension in OTHER_EXTENSIONS)


class Found:
    """What lies where a listed image would lie, by its id, its day and its sequence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, files: Sequence[FoundFile]) -> None:
        """Note files; of several that an image may have, the first is its."""
        with self._database.transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (file.image_id, file.day, file.sequence, file.extension, file.sha256,
                     file.size, file.sha256_jpeg, file.piece, file.offset)
                    for file in files
                ),
            )  # fmt: skip

    def unlisted(self) -> list[tuple[str, str, int]]:
        """Return what is in tars and was never listed: tar, member and offset."""
        rows = self._database.execute(
            "SELECT pieces.name, found.day, sequence, id, extension, offset "
            "FROM found JOIN pieces ON pieces.number = found.piece ORDER BY pieces.name, offset"
        )
        return [(tar, member_path(*place), offset) for tar, *place, offset in rows]

    def take(self, first: int) -> int:
        """Settle what is listed from the number `first` on and was found; return how many."""
        if self._database.value("SELECT 1 FROM found LIMIT 1") is None:
            return 0
        places = "found.id = images.id AND found.day = images.day"
        same = f"{places} AND found.sequence = images.sequence AND images.number >= ?"
        rows = self._database.execute(
            "SELECT images.number, found.extension, found.sha256, found.size, found.sha256_jpeg, "
            f"found.piece, found.offset, iif(found.extension IN ({_OTHER}), "
            f"'{Bare.OTHER_FORMAT}', NULL), images.id FROM images CROSS JOIN found ON {same}",
            (first,),
        ).fetchall()
        self._database.executemany(
            f"UPDATE images SET state = {State.SAVED:d}, extension = ?2, sha256_stored = ?3, "
            "size = ?4, sha256_jpeg = ?5, piece = ?6, offset = ?7, bare = ?8 WHERE number = ?1",
            (row[:8] for row in rows),
        )
        numbers = [(row[0],) for row in rows]
        self._database.executemany("DELETE FROM unsettled WHERE number = ?", numbers)
        self._database.executemany("DELETE FROM found WHERE id = ?", ((row[8],) for row in rows))
        self._database.executemany(
            "UPDATE pieces SET images = images + 1 WHERE number = ?",
            ((row[5],) for row in rows if row[5] is not None),
        )
        return len(rows)
