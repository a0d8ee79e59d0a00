"""Images that another tool saved: settled where they lie, by that tool's own paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.schema import DayState, State


@dataclass(frozen=True, slots=True)
class AdoptedFile:
    """A readable image: its id and path as the other tool has them, its bytes as they are.

    What was served is not known, since that tool wrote metadata into the file.
    """

    image_id: str
    day: str
    sequence: str
    extension: str
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Numbers of the images that were settled, by id; ids not listed, and ids saved before."""

    numbers: dict[str, int]
    unlisted: list[str]
    again: list[str]


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
