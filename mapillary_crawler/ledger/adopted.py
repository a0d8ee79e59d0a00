"""Images that another tool saved: settled where they lie, by that tool's own paths."""

from __future__ import annotations

from collections.abc import Sequence

from mapillary_crawler.collection.layout import OTHER_EXTENSIONS
from mapillary_crawler.collection.names import member_path
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.records import AdoptedFile, Bare, DayState, State, Taken


class Adopted:
    """Settles images that were listed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, files: Sequence[AdoptedFile]) -> Taken:
        """Settle the images of files as saved, each id once; at most 500 files."""
        marks = ",".join("?" * len(files))
        known = {
            image_id: (number, state, day, sequence)
            for image_id, number, state, day, sequence in self._database.execute(
                f"SELECT id, number, state, day, sequence FROM images WHERE id IN ({marks})",
                [file.image_id for file in files],
            )
        }
        taken = Taken({}, {}, [], [])
        rows = []
        for file in files:
            number, state, day, sequence = known.get(file.image_id, (None, None, "", ""))
            if file.day is not None:
                day, sequence = file.day, file.sequence
            if number is None:
                taken.unlisted.append(file.image_id)
            elif state != State.UNSETTLED or file.image_id in taken.numbers:
                taken.again.append(file.image_id)
            else:
                taken.numbers[file.image_id] = number
                taken.members[file.image_id] = member_path(
                    day, sequence, file.image_id, file.extension
                )
                rows.append((day, sequence, file, number))
        with self._database.transaction():
            self._database.executemany(
                f"UPDATE images SET state = {State.SAVED:d}, day = ?, sequence = ?, extension = ?, "
                "sha256_stored = ?, size = ?, bare = ?, sha256_jpeg = ? WHERE number = ?",
                (
                    (
                        day,
                        sequence,
                        file.extension,
                        file.sha256,
                        file.size,
                        _bare(file),
                        file.sha256_jpeg,
                        number,
                    )
                    for day, sequence, file, number in rows
                ),
            )
            self._database.executemany(
                "DELETE FROM unsettled WHERE number = ?", ((number,) for *_, number in rows)
            )
            self._database.executemany(
                f"INSERT OR IGNORE INTO days (day, state) VALUES (?, {DayState.OPEN:d})",
                {(day,) for day, *_ in rows},
            )
        return taken


def _bare(file: AdoptedFile) -> str | None:
    """Return why a file has no metadata; that tool writes it into JPEG and WebP alone."""
    return Bare.OTHER_FORMAT if file.extension in OTHER_EXTENSIONS else None
