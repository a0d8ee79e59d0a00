"""The images: how they were settled, and what the manifests say of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.pages import Pages
from mapillary_crawler.ledger.records import (
    DayState,
    ImageRecord,
    Piece,
    SavedImage,
    State,
    StoredFile,
)

#: Not only digits. GLOB would stop at a NUL, which an id from elsewhere may hold.
_NO_NUMBER = "trim(id, '0123456789') <> ''"
#: The order of all manifests: dated first, by capture time, then by id as an integer
#: (length before digits), ids that are no decimal number last, bytewise.
IN_TIME = f"""
    captured_at IS NULL, captured_at, {_NO_NUMBER},
    iif({_NO_NUMBER}, 0, length(ltrim(id, '0'))),
    iif({_NO_NUMBER}, id, ltrim(id, '0')), id
"""
MANIFEST_ORDER = f"ORDER BY {IN_TIME}"
#: An id as the service has them, of which `IN_TIME_OF_NUMBERS` makes the same order in a fifth of
#: the time: a number from 0 to 2^63, without leading zeros.
IS_NUMBER = "(id >= '0' AND CAST(CAST(id AS INTEGER) AS TEXT) = id)"
IN_TIME_OF_NUMBERS = "captured_at IS NULL, captured_at, length(id), id"

#: What a record is made of, in `record_of`.
COLUMNS = (
    "images.number, id, images.state, captured_at, images.day, sequence, extension, "
    "sha256_served, sha256_stored, size, pieces.name, offset, page, row, bare, "
    "sha256_jpeg, (SELECT noticed_at FROM vanished WHERE vanished.number = images.number)"
)
WITH_TAR = "LEFT JOIN pieces ON pieces.number = images.piece"
_RECORDS = f"SELECT {COLUMNS} FROM images {WITH_TAR}"
IS_SAVED = f"images.state IN ({State.SAVED:d}, {State.DAMAGED:d})"


def manifest_place(record: ImageRecord) -> tuple[bool, int, bool, int, str, str]:
    """Return by what records are sorted into the order of the manifests."""
    name = record.image_id
    odd = bool(name.strip("0123456789"))
    digits = name if odd else name.lstrip("0")
    undated, captured_at = record.captured_at is None, record.captured_at or 0
    return undated, captured_at, odd, 0 if odd else len(digits), digits, name


class Images:
    """Listed images by state, by day, and in the order of the manifests."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    def save(self, files: Sequence[StoredFile]) -> None:
        """Settle images whose files lie durably on the disk."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE images SET state = ?, extension = ?, sha256_served = ?, "
                "sha256_stored = ?, size = ?, bare = ?, sha256_jpeg = ?, piece = NULL, "
                "offset = NULL WHERE number = ?",
                (
                    (State.DAMAGED if file.damaged else State.SAVED, file.extension,
                     file.sha256_served, file.sha256_stored, file.size, file.bare,
                     file.sha256_jpeg, file.number)
                    for file in files
                ),
            )  # fmt: skip
            numbers = [(file.number,) for file in files]
            self._forget(numbers)
            self._database.executemany(
                f"UPDATE days SET state = {DayState.OPEN:d} WHERE state <> {DayState.OPEN:d} "
                "AND day = (SELECT day FROM images WHERE number = ?)",
                numbers,
            )

    def settle(self, numbers: Iterable[int], state: State) -> None:
        """Settle images that will not be saved: gone, unavailable or accepted."""
        rows = [(number,) for number in numbers]
        with self._database.transaction():
            self._database.executemany(
                f"UPDATE images SET state = {state:d} WHERE number = ?", rows
            )
            self._forget(rows)

    def unsettle(self, numbers: Iterable[int], error: str) -> None:
        """Want images again: saved or believed settled before, so each had a URL once."""
        rows = [(number,) for number in numbers]
        with self._database.transaction():
            self._database.executemany(
                f"UPDATE images SET state = {State.UNSETTLED:d}, size = NULL, piece = NULL, "
                "offset = NULL, sha256_served = NULL, sha256_stored = NULL, bare = NULL, "
                "sha256_jpeg = NULL WHERE number = ?",
                rows,
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO unsettled (number, error, had_url, expires) "
                "VALUES (?, ?, 1, 0)",
                ((number, error) for (number,) in rows),
            )

    def accept_failed(self) -> None:
        """Settle all that is unsettled as accepted by the user."""
        numbers = [row[0] for row in self._database.execute("SELECT number FROM unsettled")]
        self.settle(numbers, State.ACCEPTED)

    def accept_given_up(self, days: Sequence[str]) -> int:
        """Settle as accepted by the user what this run has given up of some days.

        Returns how many images that are.
        """
        marks = ",".join("?" * len(days))
        rows = self._database.execute(
            "SELECT number FROM unsettled CROSS JOIN images USING (number) "
            f"WHERE retry_at = ? AND day IN ({marks})",
            (math.inf, *days),
        ).fetchall()
        self.settle([number for (number,) in rows], State.ACCEPTED)
        return len(rows)

    def want_accepted(self) -> None:
        """Want again what the user accepted as failed: no failure is final by itself."""
        if kept_balance(self._database).accepted:
            rows = self._database.execute(
                f"SELECT number FROM images WHERE state = {State.ACCEPTED:d}"
            )
            self.unsettle([row[0] for row in rows], "accepted as failed before")

    def balance(self) -> Balance:
        """Return the balance; cheap, whatever is listed, but for a look at each that failed."""
        return kept_balance(self._database)

    def listed(self) -> int:
        """Return how many ids the ledger has, those outside the selection included."""
        count: int = self._database.value("SELECT sum(images) FROM balance")
        return count

    def in_piece(self, piece: Piece) -> Iterator[ImageRecord]:
        """Yield the images of a tar by their offset; the ledger may be told of others meanwhile."""
        where = "WHERE images.day = ? AND piece = ? ORDER BY offset"
        return iter(list(records(self._database, where, (piece.day, piece.number))))

    def saved(self) -> Iterator[SavedImage]:
        """Yield the saved images in the order of listing, in which their rows lie, too."""
        rows = self._database.execute(
            "SELECT id, images.state, captured_at, images.day, sequence, extension, size, "
            f"pieces.name, offset, page, row FROM images {WITH_TAR} "
            f"WHERE {IS_SAVED} ORDER BY images.number"
        )
        return map(SavedImage._make, rows)

    def by_place(self) -> Iterator[ImageRecord]:
        """Yield the saved images as they lie on the disk: by day, by tar, by offset."""
        order = "images.day, images.piece, offset, images.number"
        return records(self._database, f"WHERE {IS_SAVED} ORDER BY {order}")

    def count_loose(self, day: str) -> int:
        """Return how many saved images of a day are in no tar."""
        count: int = self._database.value(
            f"SELECT count(*) FROM images WHERE day = ? AND piece IS NULL AND {IS_SAVED}", (day,)
        )
        return count

    def first_saved(self, limit: int) -> list[ImageRecord]:
        """Return the first saved images, undamaged ones, in the order of the manifests."""
        rows = self._database.execute(
            f"{_RECORDS} WHERE images.state = {State.SAVED:d} {MANIFEST_ORDER} LIMIT ?", (limit,)
        )
        return [record_of(row) for row in rows]

    def some_saved(self, count: int) -> list[str]:
        """Return ids of up to three images that the service had, from all over the listing.

        Neighbours are deleted together. By their days, of which an index knows those with saved
        images: so each search is short, however few of millions are saved.
        """
        if not kept_balance(self._database).saved:
            return []
        saved = (
            "SELECT id FROM days CROSS JOIN images "
            f"ON images.day = days.day AND images.state = {State.SAVED:d}"
        )
        middle = (
            "days.day >= (SELECT day FROM days ORDER BY day LIMIT 1 "
            "OFFSET (SELECT count(*) / 2 FROM days)) "
            "AND images.number >= (SELECT max(number) / 2 FROM images)"
        )
        searches = (
            f"{saved} ORDER BY days.day DESC, images.number DESC LIMIT 1",
            f"{saved} ORDER BY days.day, images.number LIMIT 1",
            f"{saved} WHERE {middle} ORDER BY days.day, images.number LIMIT 1",
        )
        found = [self._database.value(search) for search in searches[:count]]
        return list(dict.fromkeys(image_id for image_id in found if image_id is not None))

    def was_served(self, image_id: str, sha256: bytes) -> bool:
        """Say whether an image was saved from a body of that checksum."""
        served = self._database.value("SELECT sha256_served FROM images WHERE id = ?", (image_id,))
        return bool(served == sha256)

    def line(self, record: ImageRecord | SavedImage) -> bytes:
        """Return an image's fields as listed: canonical JSON without URLs."""
        return self._pages.line(record.page, record.row)

    def failures(self, *, but: Sequence[str] = ()) -> Iterator[tuple[str, str | None, int]]:
        """Yield id, last error and attempts of what is unsettled, in the order of listing.

        Without the images of some days.
        """
        return iter(
            self._database.execute(
                "SELECT id, error, attempts FROM unsettled JOIN images USING (number) "
                "WHERE day NOT IN (SELECT value FROM json_each(?)) ORDER BY number",
                (json.dumps(but),),
            )
        )

    def _forget(self, numbers: list[tuple[int]]) -> None:
        self._database.executemany("DELETE FROM unsettled WHERE number = ?", numbers)
        self._database.executemany("DELETE FROM damage WHERE number = ?", numbers)


def records(
    database: Database, condition: str, parameters: Iterable[object] = ()
) -> Iterator[ImageRecord]:
    """Yield the images for which a condition holds, given as all that follows the tables."""
    return (record_of(row) for row in database.execute(f"{_RECORDS} {condition}", parameters))


def kept_balance(database: Database) -> Balance:
    """Return the counts of the balance, as the tables keep them.

    What failed is counted in an index that holds nothing else.
    """
    rows = database.execute("SELECT state, images, bytes FROM balance").fetchall()
    images = {state: count for state, count, _ in rows}
    size = {state: count for state, _, count in rows}
    failed = database.value("SELECT count(*) FROM unsettled WHERE error IS NOT NULL")
    nameless = database.value("SELECT value FROM facts WHERE name = 'nameless'")
    return Balance(
        saved=images[State.SAVED] + images[State.DAMAGED],
        damaged=images[State.DAMAGED],
        gone=images[State.GONE],
        unavailable=images[State.UNAVAILABLE],
        failed=failed + images[State.ACCEPTED],
        left=images[State.UNSETTLED] - failed,
        accepted=images[State.ACCEPTED],
        outside=images[State.OUTSIDE],
        nameless=int(nameless or 0),
        bytes_saved=size[State.SAVED] + size[State.DAMAGED],
        bare=database.value("SELECT count(*) FROM images WHERE bare IS NOT NULL"),
        vanished=database.value("SELECT count(*) FROM vanished"),
    )


def record_of(row: Iterable[object]) -> ImageRecord:
    """Return the record of a row of `COLUMNS`."""
    number, image_id, state, *rest = row
    return ImageRecord(number, image_id, State(state), *rest)  # type: ignore[arg-type]
