"""The update of a finished collection: its listing gone through again, and what that brought."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from mapillary_crawler.collection.names import member_path
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.images import IS_SAVED, kept_balance
from mapillary_crawler.ledger.listing import Listing
from mapillary_crawler.ledger.records import Changes, State

#: What is asked for once more, though it was settled.
_ASKED_AGAIN = f"({State.DAMAGED:d}, {State.UNAVAILABLE:d}, {State.ACCEPTED:d})"
_STORED = "extension, sha256_served, sha256_stored, size, piece, offset, bare, sha256_jpeg"
#: Those of which the image was not saved, and is now, or is saved whole.
_AVAILABLE = f"FROM asked_again JOIN images USING (number) WHERE images.state = {State.SAVED:d}"


class Update:
    """One update at a time, on a copy of the ledger of the collection that stays in the store.

    The fact `updating` has when it began (`since`, s since 1970), when the collection was finished
    that it is of (`base`), the `first` round of its listing and that of the listing before
    (`before`), the `last` image number from before, how many `rounds` of it were gone through in
    vain, and how many images that had vanished were `listed_again`.
    """

    def __init__(self, database: Database, facts: Facts, listing: Listing) -> None:
        self._database = database
        self._facts = facts
        self._listing = listing

    @property
    def is_on(self) -> bool:
        """Whether this is the ledger of an update that is not finished."""
        return self._facts.get("updating") is not None

    @property
    def base(self) -> float | None:
        """When the collection was finished that this is an update of, None where it is none."""
        updating = self._facts.get("updating")
        base: float | None = updating["base"] if updating else None
        return base

    def begin(self) -> None:
        """Open the listing of a finished collection, and ask once more for what is not saved well.

        Unavailable, accepted and damaged images are wanted; what is gone stays gone.
        """
        facts = self._facts
        with self._database.transaction():
            first = facts.get("listing_round", 0) + 1
            noticed = self._database.value("SELECT coalesce(max(noticed_at), 0) FROM vanished")
            facts.set(
                updating={
                    "since": max(int(time.time()), noticed + 1),
                    "base": facts.get("finished_at"),
                    "first": first,
                    "before": facts.get("listing_first", 0),
                    "last": self._database.value("SELECT coalesce(max(number), 0) FROM images"),
                    "rounds": 0,
                    "listed_again": 0,
                },
                listing_first=first,
                listing_short=None,
                finished_at=None,
            )
            self._listing.reopen()
            self._ask_again()

    def _ask_again(self) -> None:
        balance = kept_balance(self._database)
        self._database.execute("DELETE FROM asked_again")
        if not (balance.damaged or balance.unavailable or balance.accepted):
            return
        self._database.execute(
            f"INSERT INTO asked_again SELECT number, state, {_STORED} FROM images "
            f"WHERE state IN {_ASKED_AGAIN}"
        )
        emptied = ", ".join(f"{column} = NULL" for column in _STORED.split(", "))
        self._database.execute(
            f"UPDATE images SET state = {State.UNSETTLED:d}, {emptied} "
            "WHERE number IN (SELECT number FROM asked_again)"
        )
        self._database.execute(
            "INSERT INTO unsettled (number, had_url) "
            f"SELECT number, state <> {State.UNAVAILABLE:d} FROM asked_again"
        )

    def lists_again(self) -> bool:
        """Begin another round of the listing, which has come to an end, where there is to be one.

        A second one follows, and no third, where an id that the last listing had is missing: an
        answer may have been cut off.
        """
        updating = self._facts.get("updating")
        again = updating["rounds"] == 0 and self._is_one_missing(updating)
        if again:
            with self._database.transaction():
                self._facts.set(updating={**updating, "rounds": 1})
                self._listing.start_round(again=True)
        return again

    def _is_one_missing(self, updating: dict[str, Any]) -> bool:
        found = self._database.value(
            "SELECT 1 FROM images WHERE coalesce(round, 0) < ? AND coalesce(round, 0) >= ? LIMIT 1",
            (updating["first"], updating["before"]),
        )
        return found is not None

    def came_damaged(self, number: int) -> bool:
        """Say whether an image that came damaged was stored so before; then it stays as it was."""
        was = self._database.value(
            f"SELECT 1 FROM asked_again WHERE number = ? AND state = {State.DAMAGED:d}", (number,)
        )
        if was is not None:
            self._restore("number = ?", (number,))
        return was is not None

    def conclude(self) -> Changes:
        """Settle what an update decides once all is tried, and return what it has brought.

        What was asked for once more and did not come is as it was; saved images that the listing
        has not brought, however often it was gone through, are vanished.
        """
        updating = self._facts.get("updating")
        with self._database.transaction():
            self._restore_what_did_not_come()
            updating["listed_again"] += self._note_vanished(updating["first"], updating["since"])
            self._facts.set(updating=updating)
            return self._changes(**updating)

    def _restore_what_did_not_come(self) -> None:
        lost = f"({State.GONE:d}, {State.UNAVAILABLE:d}, {State.ACCEPTED:d})"
        self._restore(
            "number IN (SELECT number FROM asked_again JOIN images USING (number) "
            f"WHERE images.state = {State.UNSETTLED:d} "
            f"OR (asked_again.state = {State.DAMAGED:d} AND images.state IN {lost}))"
        )

    def _restore(self, which: str, parameters: tuple[int, ...] = ()) -> None:
        """Let images be as they were before they were asked for once more."""
        columns = f"state, {_STORED}"
        self._database.execute(
            f"UPDATE images SET ({columns}) = (SELECT {columns} FROM asked_again "
            f"WHERE asked_again.number = images.number) WHERE {which}",
            parameters,
        )
        for table in ("unsettled", "damage"):
            self._database.execute(
                f"DELETE FROM {table} WHERE {which} AND number IN (SELECT number FROM asked_again)",
                parameters,
            )

    def _note_vanished(self, first: int, at: int) -> int:
        """Note what the listing does not have any more; return how many of before it has again."""
        again = self._database.execute(
            "DELETE FROM vanished WHERE number IN (SELECT number FROM vanished "
            "JOIN images USING (number) WHERE round >= ?)",
            (first,),
        ).rowcount
        self._database.execute(
            "INSERT OR IGNORE INTO vanished SELECT number, ? FROM images "
            f"WHERE {IS_SAVED} AND coalesce(round, 0) < ?",
            (at, first),
        )
        return again

    def _changes(self, *, last: int, since: int, listed_again: int, **_: Any) -> Changes:
        count = self._database.value
        new = f"FROM images WHERE number > ? AND images.state <> {State.OUTSIDE:d}"
        is_other = (
            "SELECT 1 FROM asked_again JOIN images USING (number) "
            "WHERE images.state <> asked_again.state LIMIT 1"
        )
        vanished = count("SELECT count(*) FROM vanished WHERE noticed_at >= ?", (since,))
        rows = count(f"SELECT count(*) {new}", (last,))
        return Changes(
            new=count(f"SELECT count(*) {new} AND {IS_SAVED}", (last,)),
            available=count(f"SELECT count(*) {_AVAILABLE}"),
            vanished=vanished,
            changed=bool(rows or vanished or listed_again or count(is_other) is not None),
        )

    def note(self, numbers: Iterable[int]) -> None:
        """Note that images were not listed any more when a collection was last updated."""
        at = int(time.time())
        with self._database.transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO vanished VALUES (?, ?)", ((number, at) for number in numbers)
            )

    def replaced(self) -> Iterator[str]:
        """Yield where damaged images lay, in no tar, that have come whole under another name."""
        rows = self._database.execute(
            "SELECT day, sequence, id, asked_again.extension, images.extension "
            f"{_AVAILABLE} AND asked_again.state = {State.DAMAGED:d} "
            "AND asked_again.piece IS NULL AND asked_again.extension <> images.extension"
        )
        return (member_path(*place) for *place, _ in rows)

    def end(self) -> None:
        """Forget what is of the update alone; the ledger is that of a finished collection then."""
        with self._database.transaction():
            self._database.execute("DELETE FROM asked_again")
            self._facts.set(updating=None)
