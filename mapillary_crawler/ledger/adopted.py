"""Images that another tool saved: settled where they lie, by that tool's own paths."""

from __future__ import annotations

from collections.abc import Sequence

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.records import AdoptedFile, DayState, State, Taken


class Adopted:
    """Settles images that were listed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, files: Sequence[AdoptedFile]) -> Taken:
        """Settle the images of files as saved, each id once; at most 500 files."""
        marks = ",".join("?" * len(files))
        known = {
            image_id: (number, state)
            for image_id, number, state in self._database.execute(
                f"SELECT id, number, state FROM images WHERE id IN ({marks})",
                [file.image_id for file in files],
            )
        }
        taken = Taken({}, [], [])
        rows = []
        for file in files:
            number, state = known.get(file.image_id, (None, None))
            if number is None:
                taken.unlisted.append(file.image_id)
            elif state != State.UNSETTLED or file.image_id in taken.numbers:
                taken.again.append(file.image_id)
            else:
                taken.numbers[file.image_id] = number
                rows.append((file, number))
        with self._database.transaction():
            self._database.executemany(
                f"UPDATE images SET state = {State.SAVED:d}, day = ?, sequence = ?, extension = ?, "
                "sha256_stored = ?, size = ? WHERE number = ?",
                (
                    (file.day, file.sequence, file.extension, file.sha256, file.size, number)
                    for file, number in rows
                ),
            )
            self._database.executemany(
                "DELETE FROM unsettled WHERE number = ?", ((number,) for _, number in rows)
            )
            self._database.executemany(
                f"INSERT OR IGNORE INTO days (day, state) VALUES (?, {DayState.OPEN:d})",
                {(file.day,) for file, _ in rows},
            )
        return taken
