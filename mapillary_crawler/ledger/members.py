"""A day's images in the order of their members, by an index that is made once all are listed.

The index is on a key that orders images as their members do, bytewise, but for names that paths
hold otherwise than the ledger does (an id is escaped there) or that have a dot: where a day has
such a name its order has to be laid out (`Arranged`).
"""

from __future__ import annotations

import string

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import COLUMNS, IS_SAVED, WITH_TAR, record_of
from mapillary_crawler.ledger.records import Bare, ImageRecord, State

#: What a member's name begins with below its day, before the extension.
KEY = "(iif(sequence = '', '', sequence || '/') || id || '.')"
_INDEX = "images_by_member"
_PLAIN = f"{string.ascii_letters}{string.digits}_-"
#: Not only plain characters (GLOB would stop at a NUL), or what `names.escape` changes or cuts.
_IS_ODD = (
    f"(trim(sequence, '{_PLAIN}') <> '' OR trim(id, '{_PLAIN}') <> '' "
    "OR instr(id, '_u') OR length(id) > 100)"
)


class Members:
    """Images by day and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make_index(self) -> None:
        """Make the index where there is none; takes a while where many are listed."""
        self._database.execute(
            f"CREATE INDEX IF NOT EXISTS {_INDEX} ON images (day, {KEY}) WHERE day IS NOT NULL"
        )

    def are_in_order(self, day: str) -> bool:
        """Say whether the index has a day's images in the order of their members."""
        in_order = self._database.value(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?1) "
            f"AND NOT EXISTS (SELECT 1 FROM images WHERE day = ?2 AND {_IS_ODD})",
            (_INDEX, day),
        )
        return bool(in_order)

    def meet_nowhere(self, day: str) -> bool:
        """Say whether a day's files are apart even where capitals count for small letters."""
        meeting: int = self._database.value(
            "SELECT EXISTS (SELECT 1 FROM images WHERE day = ? AND trim(id, '0123456789') <> '')",
            (day,),
        )
        return not meeting

    def in_no_tar(self, day: str, after: str, limit: int) -> list[tuple[str, ImageRecord]]:
        """Return keys and images behind a key that are in no tar, saved or not."""
        return self._behind(day, after, limit, "+piece IS NULL")

    def loose(self, day: str, after: str, limit: int) -> list[tuple[str, ImageRecord]]:
        """Return keys and images behind a key: saved ones that are in no tar."""
        return self._behind(day, after, limit, f"+piece IS NULL AND +{IS_SAVED}")

    def _behind(
        self, day: str, after: str, limit: int, condition: str
    ) -> list[tuple[str, ImageRecord]]:
        rows = self._database.execute(
            f"SELECT {KEY}, {COLUMNS} FROM images {WITH_TAR} "
            f"WHERE images.day = ? AND {KEY} > ? AND {condition} ORDER BY {KEY} LIMIT ?",
            (day, after, limit),
        )
        return [(key, record_of(row)) for key, *row in rows]

    def may_be_withdrawn(self, day: str) -> bool:
        """Say whether a day has a loose image in another format, which may be a placeholder."""
        found: int = self._database.value(
            f"SELECT EXISTS (SELECT 1 FROM images WHERE day = ? AND state = {State.SAVED:d} "
            "AND bare = ? AND piece IS NULL)",
            (day, Bare.OTHER_FORMAT),
        )
        return bool(found)
