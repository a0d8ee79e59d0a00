"""The listing: pages committed against the cursor they were asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.found import Found
from mapillary_crawler.ledger.members import Members
from mapillary_crawler.ledger.pages import SLICE_ROWS, Pages
from mapillary_crawler.ledger.records import (
    Committed,
    CursorLoop,
    CursorMoved,
    KnownRow,
    ListedRow,
    Position,
    State,
)

#: Parameters of one statement; SQLite allows far more, but a short statement parses faster.
_IDS_ASKED = 500


class Listing:
    """Rows and cursor, always in one transaction."""

    def __init__(
        self, database: Database, facts: Facts, pages: Pages, members: Members, found: Found
    ) -> None:
        self._database = database
        self._found = found
        self._facts = facts
        self._pages = pages
        self._members = members

    def position(self) -> Position:
        """Return where the listing goes on."""
        now = time.time()
        return Position(
            cursor=self._facts.get("listing_cursor"),
            ended=self._facts.get("listing_ended", False),
            closed=self._facts.get("listing_closed_at") is not None,
            rows=self._facts.get("listing_rows", 0),
            seconds=now - self._facts.get("listing_started_at", now),
            resumed=self._facts.get("listing_resumed", False),
            again=self._facts.get("listing_again", False),
        )

    def start_run(self) -> None:
        """Note, where another run left a round unfinished, that this one resumes it."""
        if self._facts.get("listing_cursor") is not None:
            self._facts.set(listing_resumed=True)

    def start_round(self, *, again: bool, short: bool = False) -> None:
        """List from the start; known ids cost nothing.

        `again` says that the round before was complete, `short` that it ended with fewer rows
        than the ledger knows: as few again are believed.
        """
        with self._database.transaction():
            if short:
                self._facts.set(listing_short=self._facts.get("listing_rows", 0))
            self._database.execute("DELETE FROM cursors")
            self._facts.set(
                listing_cursor=None,
                listing_ended=False,
                listing_rows=0,
                listing_started_at=time.time(),
                listing_resumed=False,
                listing_again=again,
                listing_round=self._facts.get("listing_round", 0) + 1,
                nameless=0,
            )

    def close(self) -> None:
        """Record that the listing ended properly; a crawl never opens it again."""
        with self._database.transaction():
            self._members.make_index()
            self._facts.set(listing_closed_at=time.time())
            if unlisted := self._found.unlisted():
                self._facts.set(passed_over=[*self._facts.get("passed_over", []), *unlisted])

    def reopen(self) -> None:
        """Open a closed listing, to complete a collection that was made elsewhere."""
        self._facts.set(listing_closed_at=None)
        self.start_round(again=False)

    def known(self, image_ids: Sequence[str]) -> dict[str, KnownRow]:
        """Return what the ledger has of these ids: the images' numbers, and which are wanted."""
        wanted = "EXISTS (SELECT 1 FROM unsettled WHERE unsettled.number = images.number)"
        found: dict[str, KnownRow] = {}
        for start in range(0, len(image_ids), _IDS_ASKED):
            some = image_ids[start : start + _IDS_ASKED]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(
                f"SELECT id, number, {wanted} FROM images WHERE id IN ({marks})", some
            )
            found.update((image_id, KnownRow(*row)) for image_id, *row in rows)
        return found

    def commit(
        self,
        asked: str | None,
        following: str | None,
        rows: Sequence[ListedRow],
        *,
        known: Mapping[str, KnownRow] | None = None,
        nameless: int = 0,
        sequences: AbstractSet[str] = frozenset(),
    ) -> Committed:
        """Commit a page: its rows and the cursor behind it (None: no page follows).

        `known` is what the ledger was just found to have of the page's ids, where that was asked
        already: then `rows` may lack those that are not wanted. `nameless` counts the rows without
        a usable id, each round anew. The first listed row of an id wins. `sequences` are those
        asked for that the page has images of. Raises `CursorMoved` if the listing does not stand
        at `asked`; nothing is committed then. Raises `CursorLoop` if it stood at `following`
        before: the rows are committed, since images may be in no other page, and the listing
        still stands at `asked`.
        """
        with self._database.transaction():
            if self._facts.get("listing_cursor") != asked or self._facts.get("listing_ended"):
                raise CursorMoved
            unique: dict[str, ListedRow] = {}
            for row in rows:
                unique.setdefault(row.image_id, row)
            if known is None:
                known = self.known(list(unique))
            new = [row for row in unique.values() if row.image_id not in known]
            round_number = self._facts.get("listing_round", 0)
            again = self._mark([row.number for row in known.values()], round_number)
            self._add([row for row in new if not row.outside], round_number)
            self._add_outside([row for row in new if row.outside], round_number)
            self._renew(unique, known)
            in_a_circle = self._stood_at(following)
            if not in_a_circle:
                self._move(following, len(new) + len(known))
            if nameless:
                self._facts.add("nameless", nameless)
            if not sequences <= (seen := self.sequences()):
                self._facts.set(listing_sequences=sorted(sequences | seen))
        if in_a_circle:
            raise CursorLoop
        outside = sum(row.outside for row in new)
        idle = not new and not again
        return Committed(new=len(new), known=len(known), outside=outside, idle=idle)

    def sequences(self) -> set[str]:
        """Return those sequences asked for that the listing brought images of, outside or not."""
        return set(self._facts.get("listing_sequences", []))

    def renew(self, rows: Iterable[ListedRow]) -> list[int]:
        """Take fresh URLs of known unsettled rows from a page, and nothing else of it.

        Serves a closed listing whose URLs have expired. Returns the numbers of the known rows.
        """
        unique: dict[str, ListedRow] = {}
        for row in rows:
            unique.setdefault(row.image_id, row)
        with self._database.transaction():
            known = self.known(list(unique))
            self._renew(unique, known)
        return [row.number for row in known.values()]

    def _mark(self, numbers: Sequence[int], round_number: int) -> int:
        """Note that this round has brought images; return how many it had not brought before."""
        marked = self._database.executemany(
            "UPDATE images SET round = ?1 WHERE number = ?2 AND round IS NOT ?1",
            ((round_number, number) for number in numbers),
        )
        return marked.rowcount

    def _add(self, rows: Sequence[ListedRow], round_number: int) -> None:
        first = self._database.value("SELECT coalesce(max(number), 0) + 1 FROM images")
        for start in range(0, len(rows), SLICE_ROWS):
            some = list(enumerate(rows[start : start + SLICE_ROWS], first + start))
            page = self._pages.add([row.line for _, row in some])
            self._database.executemany(
                "INSERT INTO images "
                "(number, id, page, row, state, captured_at, day, sequence, round) "
                f"VALUES (?, ?, ?, ?, {State.UNSETTLED:d}, ?, ?, ?, ?)",
                (
                    (
                        number,
                        row.image_id,
                        page,
                        line,
                        row.captured_at,
                        row.day,
                        row.sequence,
                        round_number,
                    )
                    for line, (number, row) in enumerate(some)
                ),
            )
            self._database.executemany(
                "INSERT INTO unsettled (number, url, expires, had_url) VALUES (?, ?, ?, ?)",
                ((number, row.url, row.expires, row.url is not None) for number, row in some),
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO days (day) VALUES (?)", {(row.day,) for _, row in some}
            )
        self._found.take(first)

    def _add_outside(self, rows: Sequence[ListedRow], round_number: int) -> None:
        self._database.executemany(
            f"INSERT INTO images (id, state, round) VALUES (?, {State.OUTSIDE:d}, ?)",
            ((row.image_id, round_number) for row in rows),
        )

    def _renew(self, rows: Mapping[str, ListedRow], known: Mapping[str, KnownRow]) -> None:
        """Give known unsettled rows the page's URLs; refreshed rows give URLs only."""
        self._database.executemany(
            "UPDATE unsettled SET url = ?, expires = ?, fresh = 1, had_url = 1, without_url = 0 "
            "WHERE number = ?",
            (
                (row.url, row.expires, known[image_id].number)
                for image_id, row in rows.items()
                if row.url is not None and image_id in known
            ),
        )

    def _stood_at(self, cursor: str | None) -> bool:
        found = self._database.value("SELECT count(*) FROM cursors WHERE cursor = ?", (cursor,))
        return bool(found)

    def _move(self, following: str | None, rows: int) -> None:
        if following is not None:
            self._database.execute("INSERT INTO cursors VALUES (?)", (following,))
        self._facts.set(
            listing_cursor=following,
            listing_ended=following is None,
            listing_rows=self._facts.get("listing_rows", 0) + rows,
            listing_started_at=self._facts.get("listing_started_at", time.time()),
        )
