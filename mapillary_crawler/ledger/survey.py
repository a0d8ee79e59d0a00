"""What can be counted of a collection as a whole, for those who watch or plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import member_path
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import kept_balance
from mapillary_crawler.ledger.pages import Pages, split
from mapillary_crawler.ledger.records import (
    FAILED_BEFORE,
    DayState,
    Extent,
    Member,
    Piece,
    SampledImage,
    State,
    Waiting,
)


class Survey:
    """Counts; each says what it costs."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    def recount(self) -> dict[State, tuple[int, int]]:
        """Return images and bytes by state as the rows have them; looks at every row."""
        rows = self._database.execute(
            "SELECT state, count(*), coalesce(sum(size), 0) FROM images GROUP BY state"
        )
        return {State(state): (images, size) for state, images, size in rows}

    def kept(self) -> dict[State, tuple[int, int]]:
        """Return images and bytes by state as the balance has them."""
        rows = self._database.execute("SELECT state, images, bytes FROM balance")
        return {State(state): (images, size) for state, images, size in rows}

    def kept_saved(self) -> tuple[int, int]:
        """Return how many images are saved, and their bytes, as the balance has them."""
        kept = self.kept()
        saved, damaged = kept[State.SAVED], kept[State.DAMAGED]
        return saved[0] + damaged[0], saved[1] + damaged[1]

    def members(self, piece: Piece) -> Iterator[Member]:
        """Yield the images in a tar by their offset."""
        rows = self._database.execute(
            "SELECT day, sequence, id, extension, offset, size, sha256_stored, sha256_jpeg, "
            f"state = {State.DAMAGED:d} FROM images WHERE day = ? AND piece = ? ORDER BY offset",
            (piece.day, piece.number),
        )
        for *names, offset, size, sha256, sha256_jpeg, damaged in rows:
            yield Member(member_path(*names), offset, size, sha256, bool(damaged), sha256_jpeg)

    def stems_behind(self, piece: Piece) -> set[str]:
        """Return the paths, without extensions, of the images in later tars of a tar's day."""
        rows = self._database.execute(
            "SELECT images.day, sequence, id, extension FROM images "
            "JOIN pieces ON pieces.number = images.piece "
            "WHERE images.day = ? AND pieces.part > ?",
            (piece.day, piece.part),
        )
        return {member_path(*row).rpartition(".")[0] for row in rows}

    def extent(self) -> Extent:
        """Return what the images of the selection span; looks at every row."""
        inside = f"FROM images WHERE state <> {State.OUTSIDE:d}"
        images, days, sequences, undated, first, last = self._database.execute(
            "SELECT count(*), count(DISTINCT iif(captured_at IS NULL, NULL, day)), "
            "count(DISTINCT nullif(sequence, '')), count(*) - count(captured_at), "
            f"min(captured_at), max(captured_at) {inside}"
        ).fetchone()
        largest = self._database.value(
            "SELECT coalesce(max(images), 0) FROM "
            f"(SELECT count(*) AS images {inside} GROUP BY day)"
        )
        return Extent(images, days, sequences, undated, first, last, largest)

    def meeting_names(self, *, sequences: bool) -> tuple[str, str] | None:
        """Return two paths of saved images that differ by capitals alone, if there are any.

        With `sequences`, of their folders, too. Looks at every row.
        """
        saved = f"FROM images WHERE state IN ({State.SAVED:d}, {State.DAMAGED:d})"
        files = self._database.execute(
            f"SELECT min(number), max(number) {saved} "
            "GROUP BY day, lower(sequence), lower(id), extension HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if files:
            one, other = self._database.execute(
                "SELECT day, sequence, id, extension FROM images WHERE number IN (?, ?)", files
            )
            return member_path(*one), member_path(*other)
        folders = (
            sequences
            and self._database.execute(
                f"SELECT day, min(sequence), max(sequence) {saved} GROUP BY day, lower(sequence) "
                "HAVING min(sequence) < max(sequence) LIMIT 1"
            ).fetchone()
        )
        return (f"{folders[0]}/{folders[1]}", f"{folders[0]}/{folders[2]}") if folders else None

    def loose_bytes(self) -> int:
        """Return the bytes of the saved images that are in no tar yet; looks at unsealed days."""
        total: int = self._database.value(
            "SELECT coalesce(sum(size), 0) FROM days CROSS JOIN images USING (day) "
            f"WHERE days.state <> {DayState.SEALED:d} AND images.piece IS NULL "
            f"AND images.state IN ({State.SAVED:d}, {State.DAMAGED:d})"
        )
        return total

    def spread(self, count: int) -> list[SampledImage]:
        """Return some images, wanted or saved ones, spread evenly over the listing."""
        wanted = f"state IN ({State.UNSETTLED:d}, {State.SAVED:d})"
        select = f"SELECT number, id, size FROM images WHERE {wanted}"
        kept = self.kept()
        if kept[State.UNSETTLED][0] + kept[State.SAVED][0] <= count:
            return [SampledImage(*row) for row in self._database.execute(select)]
        first, last = self._database.execute(
            f"SELECT min(number), max(number) FROM images WHERE {wanted}"
        ).fetchone()
        found = {}
        for step in range(count):
            place = first + (2 * step + 1) * (last - first) // (2 * count)
            row = self._database.execute(
                f"{select} AND number >= ? ORDER BY number LIMIT 1", (place,)
            ).fetchone()
            found[row[0]] = SampledImage(*row)
        return list(found.values())

    def sizes(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the bytes of those of some images that are saved, as stored, by number."""
        marks = ",".join("?" * len(numbers))
        rows = self._database.execute(
            f"SELECT number, size FROM images WHERE number IN ({marks}) "
            f"AND state = {State.SAVED:d}",
            numbers,
        )
        return dict(rows.fetchall())

    def rows(self) -> Iterator[bytes]:
        """Yield the JSON of every listed image of the selection; unpacks all pages."""
        for (packed,) in self._database.execute("SELECT rows FROM pages ORDER BY number"):
            yield from split(self._pages.unpacked(packed))

    def progress(self) -> tuple[Balance, Waiting]:
        """Return the balance, and what waits; cheap, whatever is listed, as the balance is."""
        balance = kept_balance(self._database)
        to_retry = self._database.value(
            "SELECT count(*) FROM unsettled WHERE retry_at > ? AND retry_at < ?",
            (FAILED_BEFORE, math.inf),
        )
        given_up = self._database.value(
            "SELECT count(*) FROM unsettled WHERE retry_at = ?", (math.inf,)
        )
        return balance, Waiting(to_retry, given_up)
