"""A small picture of each day, taken while its images are here."""

from __future__ import annotations

from mapillary_crawler.ledger.database import Database


class Samples:
    """JPEGs by day; the first of a day stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def has(self, day: str) -> bool:
        """Say whether a day has one."""
        found: int = self._database.value(
            "SELECT EXISTS (SELECT 1 FROM samples WHERE day = ?)", (day,)
        )
        return bool(found)

    def add(self, day: str, number: int, jpeg: bytes) -> None:
        """Keep the picture of a day, made of the image of that number."""
        self._database.execute(
            "INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", (day, number, jpeg)
        )

    def first(self) -> bytes | None:
        """Return the picture of the first day that has one."""
        found: bytes | None = self._database.value("SELECT jpeg FROM samples ORDER BY day LIMIT 1")
        return found
