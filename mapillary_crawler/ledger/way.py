"""The way of a crawl through the days: what is wanted and was never tried, in order."""

from __future__ import annotations

from collections.abc import Container

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.members import KEY
from mapillary_crawler.ledger.records import State

#: Behind every key: no text has a code point above it.
_BEHIND_ALL = "\U0010ffff"


class Way:
    """Goes through the days, dated ones first and ascending, once; within a day by member.

    So parts close as they fill. Where it stands is remembered in memory alone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.begin()

    def begin(self) -> None:
        """Go back to the first day, as for what was put back."""
        self._day: str | None = ""
        self._key: str | None = None

    def next(self, limit: int, drawn: Container[int]) -> list[int]:
        """Return the numbers of the next images that are not on their way, at most `limit`."""
        found: list[int] = []
        while len(found) < limit and self._day is not None:
            if self._key is None:
                self._day, self._key = self._following(self._day), ""
                continue
            wanted = limit - len(found)
            rows = self.of_day(self._day, self._key, wanted)
            found += [number for _, number in rows if number not in drawn]
            self._key = rows[-1][0] if len(rows) == wanted else None
        return found

    def of_day(self, day: str, after: str, limit: int) -> list[tuple[str, int]]:
        """Return keys and numbers of a day's images behind a key that were never tried."""
        rows = self._database.execute(
            f"SELECT {KEY}, images.number FROM images CROSS JOIN unsettled USING (number) "
            f"WHERE day = ? AND {KEY} > ? AND retry_at = 0 ORDER BY {KEY} LIMIT ?",
            (day, after, limit),
        )
        return rows.fetchall()

    def due(self, day: str, first: str, last: str, now: float, limit: int) -> list[int]:
        """Return the numbers of a day's wanted images that are due, from a key to another.

        Whether they were tried before or not; `last` is empty for the end of the day.
        """
        rows = self._database.execute(
            "SELECT images.number FROM images CROSS JOIN unsettled USING (number) "
            f"WHERE day = ? AND {KEY} >= ? AND {KEY} <= ? AND retry_at <= ? ORDER BY {KEY} LIMIT ?",
            (day, first, last or _BEHIND_ALL, now, limit),
        )
        return [number for (number,) in rows]

    def _following(self, day: str) -> str | None:
        """Return the next day of which something is wanted."""
        found: str | None = self._database.value(
            "SELECT day FROM days WHERE day > ? AND EXISTS (SELECT 1 FROM images "
            f"WHERE images.day = days.day AND state = {State.UNSETTLED:d}) ORDER BY day LIMIT 1",
            (day,),
        )
        return found
