"""Bodies in another format than JPEG: one that comes for several images is a placeholder."""

from __future__ import annotations

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import records
from mapillary_crawler.ledger.records import ImageRecord, State

#: Why such a body is not saved.
SHARED = "the same body came for another image as well: a placeholder"


class OtherFormats:
    """Which images each such body came for; that is never forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def came(self, number: int, sha256: bytes) -> bool:
        """Note a body of an image; say whether it came for others as well."""
        with self._database.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO other_formats VALUES (?, ?)", (sha256, number)
            )
        return self._is_shared(sha256)

    def shared(self, sha256: bytes) -> list[ImageRecord]:
        """Return the images saved with a body that came for several, as far as in no tar."""
        if not self._is_shared(sha256):
            return []
        found = records(
            self._database,
            f"WHERE sha256_served = ? AND bare IS NOT NULL AND piece IS NULL "
            f"AND images.state = {State.SAVED:d}",
            (sha256,),
        )
        return list(found)

    def all_shared(self) -> list[ImageRecord]:
        """Return the images saved with whatever body came for several, as far as in no tar."""
        found = self._database.execute(
            "SELECT sha256 FROM other_formats GROUP BY sha256 HAVING count(*) > 1"
        )
        return [image for (sha256,) in found.fetchall() for image in self.shared(sha256)]

    def _is_shared(self, sha256: bytes) -> bool:
        count: int = self._database.value(
            "SELECT count(*) FROM (SELECT 1 FROM other_formats WHERE sha256 = ? LIMIT 2)", (sha256,)
        )
        return count > 1
