"""What of each day is in the staging folder and what is missing, for who has little room.

The sums are kept by triggers of this connection alone, the crawl's, which is the only writer: so
they are true at any instant, and a crawl that removes nothing pays nothing for them.
"""

from __future__ import annotations

import math
from collections import Counter

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import IS_SAVED
from mapillary_crawler.ledger.members import KEY
from mapillary_crawler.ledger.records import (
    FAILED_BEFORE,
    PieceState,
    StagedBytes,
    StagedDay,
    StagedRow,
    State,
)

_MISSING = f"{{0}}state = {State.UNSETTLED:d}"
_LOOSE = f"({{0}}piece IS NULL AND {{0}}state IN ({State.SAVED:d}, {State.DAMAGED:d}))"
_SIZE = "coalesce({0}size, 0)"


def _of(expression: str, row: str = "") -> str:
    """Return an expression about a row: of a table, or `old` or `new` in a trigger."""
    return expression.format(f"{row}." if row else "")


class Staged:
    """Sums by day; made once per connection, when the listing is closed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self) -> None:
        """Sum up what is there, unless that is done; looks at every row."""
        if self._database.value("SELECT 1 FROM sqlite_temp_master WHERE name = 'staged'"):
            return
        with self._database.transaction():
            self._database.execute(
                "CREATE TEMP TABLE staged (day TEXT PRIMARY KEY, missing INTEGER NOT NULL, "
                "loose INTEGER NOT NULL, loose_bytes INTEGER NOT NULL) WITHOUT ROWID"
            )
            self._database.execute(
                f"INSERT INTO staged SELECT day, sum({_of(_MISSING)}), sum({_of(_LOOSE)}), "
                f"sum({_of(_LOOSE)} * {_of(_SIZE)}) FROM images WHERE day IS NOT NULL GROUP BY day"
            )
            missing, loose, size = (
                {row: _of(what, row) for row in ("old", "new")}
                for what in (_MISSING, _LOOSE, _SIZE)
            )
            self._database.execute(
                "CREATE TEMP TRIGGER image_staged AFTER UPDATE OF state, piece ON main.images "
                "BEGIN "
                f"UPDATE staged SET missing = missing - ({missing['old']}) + ({missing['new']}), "
                f"loose = loose - {loose['old']} + {loose['new']}, loose_bytes = loose_bytes "
                f"- {loose['old']} * {size['old']} + {loose['new']} * {size['new']} "
                "WHERE day = new.day; END"
            )

    def kept(self) -> int:
        """Return the bytes of images that are here, without `make`: loose or in tars."""
        saved: int = self._database.value(
            f"SELECT sum(bytes) FROM balance WHERE state IN ({State.SAVED:d}, {State.DAMAGED:d})"
        )
        removed: int = self._database.value(
            f"SELECT coalesce(sum(bytes), 0) FROM pieces WHERE state = {PieceState.REMOVED:d}"
        )
        return max(0, saved - removed)

    def bytes(self) -> StagedBytes:
        """Return what is here, and what is to be tried again; cheap, whatever is listed."""
        loose, size = self._database.execute(
            "SELECT coalesce(sum(loose), 0), coalesce(sum(loose_bytes), 0) FROM staged"
        ).fetchone()
        tars = self._database.value(
            "SELECT coalesce(sum(bytes), 0) FROM pieces "
            f"WHERE day IS NOT NULL AND state <> {PieceState.REMOVED:d}"
        )
        to_retry = self._database.value(
            "SELECT count(*) FROM unsettled WHERE retry_at > ? AND retry_at < ?",
            (FAILED_BEFORE, math.inf),
        )
        return StagedBytes(loose, size, tars, to_retry)

    def days(self) -> list[StagedDay]:
        """Return the days of which something is missing or loose, in order."""
        given_up = self._database.execute(
            "SELECT day FROM unsettled CROSS JOIN images USING (number) WHERE retry_at = ?",
            (math.inf,),
        )
        failed = Counter(day for (day,) in given_up)
        rows = self._database.execute(
            "SELECT day, missing, loose, loose_bytes FROM staged WHERE missing OR loose "
            "ORDER BY day"
        )
        return [
            StagedDay(day, missing, loose, size, failed[day]) for day, missing, loose, size in rows
        ]

    def rows(self, day: str, first: str, limit: int) -> list[StagedRow]:
        """Return a day's images from a member key on that are missing or loose, by that key."""
        rows = self._database.execute(
            f"SELECT {KEY}, iif({IS_SAVED}, size, NULL), coalesce(retry_at = ?, 0) FROM images "
            f"LEFT JOIN unsettled USING (number) WHERE day = ? AND {KEY} >= ? AND +piece IS NULL "
            f"AND (+{_of(_MISSING)} OR +{IS_SAVED}) ORDER BY {KEY} LIMIT ?",
            (math.inf, day, first, limit),
        )
        return [StagedRow(key, size, bool(failed)) for key, size, failed in rows]
