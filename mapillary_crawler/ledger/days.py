"""The days of a collection, and how far each is on its way into tars."""

from __future__ import annotations

from collections.abc import Collection

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.records import DayState, State

_IMAGE = "EXISTS (SELECT 1 FROM images WHERE images.day = days.day AND images.state"
_HAS_WANTED = f"{_IMAGE} = {State.UNSETTLED:d})"
_HAS_SAVED = f"{_IMAGE} IN ({State.SAVED:d}, {State.DAMAGED:d}))"


class Days:
    """UTC days in order, `unknown-date` last."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    def unsealed(self) -> list[str]:
        """Return the days that are not sealed."""
        return self._unsealed("TRUE")

    def done(self) -> list[str]:
        """Return the days that are not sealed, and of which nothing is wanted any more."""
        return self._unsealed(f"NOT {_HAS_WANTED}")

    def begun(self) -> list[str]:
        """Return the days of which some images are saved, and others wanted still."""
        return self._unsealed(f"{_HAS_WANTED} AND {_HAS_SAVED}")

    def _unsealed(self, condition: str) -> list[str]:
        rows = self._database.execute(
            f"SELECT day FROM days WHERE state <> {DayState.SEALED:d} AND {condition} ORDER BY day"
        )
        return [row[0] for row in rows]

    def of_images(self, numbers: Collection[int]) -> set[str]:
        """Return the days of a few images."""
        marks = ",".join("?" * len(numbers))
        rows = self._database.execute(
            f"SELECT DISTINCT day FROM images WHERE number IN ({marks})", numbers
        )
        return {row[0] for row in rows}

    def all(self) -> list[str]:
        """Return all days that have a saved image."""
        rows = self._database.execute(f"SELECT day FROM days WHERE {_HAS_SAVED} ORDER BY day")
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
