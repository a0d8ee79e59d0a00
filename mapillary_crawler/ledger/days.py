"""The days of a collection, and how far each is on its way into tars."""

from __future__ import annotations

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.records import DayState, State


class Days:
    """UTC days in order, `unknown-date` last."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    def unsealed(self) -> list[str]:
        """Return the days that are not sealed."""
        rows = self._database.execute(
            f"SELECT day FROM days WHERE state <> {DayState.SEALED:d} ORDER BY day"
        )
        return [row[0] for row in rows]

    def all(self) -> list[str]:
        """Return all days that have a saved image."""
        rows = self._database.execute(
            "SELECT day FROM days WHERE EXISTS (SELECT 1 FROM images WHERE images.day = days.day "
            f"AND images.state IN ({State.SAVED:d}, {State.DAMAGED:d})) ORDER BY day"
        )
        return [row[0] for row in rows]

    def in_order(self) -> list[str] | list[None]:
        """Return all days by which the order of the manifests goes, else None for all in one.

        An image that another tool saved may lie in a day that is not that of its capture.
        """
        if self._facts.get("adopted") or self._facts.get("days_differ"):
            return [None]
        return [row[0] for row in self._database.execute("SELECT day FROM days ORDER BY day")]

    def open_all(self) -> None:
        """Let every day be sealed anew: its images lie loose."""
        self._database.execute(f"UPDATE days SET state = {DayState.OPEN:d}")

    def set_state(self, day: str, state: DayState) -> None:
        """Note how far a day is; sealing it twice does no harm."""
        self._database.execute("UPDATE days SET state = ? WHERE day = ?", (state, day))
