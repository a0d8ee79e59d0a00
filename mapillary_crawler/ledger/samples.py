"""A small picture of each day, taken while its images are here."""

from __future__ import annotations

from collections.abc import Iterable

from mapillary_crawler.collection.names import ID_LENGTH
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import IS_SAVED, records
from mapillary_crawler.ledger.records import SAMPLE_BYTES, ImageRecord


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

    def add_of(self, day: str, image_id: str, jpeg: bytes) -> bool:
        """Keep the picture of a day, made of a saved image of it; say whether it has that."""
        found = self._database.value(
            f"SELECT number FROM images WHERE id = ? AND day = ? AND {IS_SAVED}", (image_id, day)
        )
        if found is not None:
            self.add(day, found, jpeg)
        return found is not None

    def first(self) -> bytes | None:
        """Return the picture of the first day that has one."""
        found: bytes | None = self._database.value("SELECT jpeg FROM samples ORDER BY day LIMIT 1")
        return found

    def days(self) -> list[str]:
        """Return the days that have one for a page, in order; an endless id has no place there."""
        rows = self._database.execute(
            "SELECT samples.day FROM samples JOIN images USING (number) "
            "WHERE length(id) <= ? AND length(jpeg) <= ? ORDER BY samples.day",
            (ID_LENGTH, SAMPLE_BYTES),
        )
        return [day for (day,) in rows]

    def of(self, days: Iterable[str]) -> list[tuple[ImageRecord, bytes]]:
        """Return the pictures of some days, each with the image that it is made of."""
        found = []
        for day in days:
            number, jpeg = self._database.execute(
                "SELECT number, jpeg FROM samples WHERE day = ?", (day,)
            ).fetchone()
            (image,) = records(self._database, "WHERE images.number = ?", (number,))
            found.append((image, jpeg))
        return found
