"""Images in an order that no index has: laid out once, then read a batch at a time.

Whoever reads many images does more with each than the ledger's thread has time for. An order
lies in a temporary table of the connection, which is on no disk of the collection's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mapillary_crawler.collection.names import member_path
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.images import (
    COLUMNS,
    IN_TIME,
    IN_TIME_OF_NUMBERS,
    IS_NUMBER,
    IS_SAVED,
    WITH_TAR,
    record_of,
)
from mapillary_crawler.ledger.records import ImageRecord, State, TakenImage


@dataclass
class Order:
    """An order that is laid out: its places are those above `first`, up to `last`."""

    first: int
    last: int
    #: Up to where it was read.
    read: int
    #: Nobody wants the rest; to be set by who read it, in whatever thread.
    done: bool = False


class Arranged:
    """Orders of images, each of which is forgotten some time after it is done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders: list[Order] = []

    def in_order(self, day: str | None) -> Order:
        """Lay out the images of the selection in the order of the manifests.

        Only those of a day, unless that is None; the whole takes a while.
        """
        of_day, parameters = ("AND day = ?", [day]) if day is not None else ("", [])
        some = f"state <> {State.OUTSIDE:d} {of_day}"
        return self._lay_out(
            f"SELECT number FROM images WHERE {some} ORDER BY {self._in_time(some, parameters)}",
            parameters,
        )

    def loose(self, day: str) -> Order:
        """Lay out a day's saved images that are in no tar, in bytewise order of their members."""
        self._database.execute(
            "CREATE TEMP TABLE IF NOT EXISTS members "
            "(name TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID"
        )
        rows = self._database.execute(
            "SELECT sequence, id, extension, number FROM images "
            f"WHERE day = ? AND piece IS NULL AND {IS_SAVED}",
            (day,),
        )
        with self._database.transaction():
            self._database.executemany(
                "INSERT INTO members VALUES (?, ?)",
                ((member_path(day, *names), number) for *names, number in rows),
            )
            order = self._lay_out("SELECT number FROM members ORDER BY name")
            self._database.execute("DELETE FROM members")
        return order

    def in_tars(self, day: str) -> Order:
        """Lay out a day's images that are in tars, in no order."""
        return self._lay_out(
            f"SELECT number FROM images WHERE day = ? AND piece IS NOT NULL AND {IS_SAVED}", [day]
        )

    def by_sequence(self) -> Order:
        """Lay out the saved images by sequence, within each in the order of the manifests."""
        return self._lay_out(
            f"SELECT number FROM images WHERE {IS_SAVED} "
            f"ORDER BY sequence, {self._in_time(IS_SAVED)}"
        )

    def _in_time(self, some: str, parameters: Sequence[str] = ()) -> str:
        """Return by what to sort some images into the order of the manifests."""
        other = f"SELECT EXISTS (SELECT 1 FROM images WHERE {some} AND NOT {IS_NUMBER})"
        return IN_TIME if self._database.value(other, parameters) else IN_TIME_OF_NUMBERS

    def _lay_out(self, numbers: str, parameters: list[str] | None = None) -> Order:
        self._database.execute(
            "CREATE TEMP TABLE IF NOT EXISTS arranged (place INTEGER PRIMARY KEY, number INTEGER)"
        )
        self._forget_done()
        place = "SELECT coalesce(max(place), 0) FROM arranged"
        first = self._database.value(place)
        self._database.execute(f"INSERT INTO arranged (number) {numbers}", parameters or [])
        order = Order(first, self._database.value(place), first)
        self._orders.append(order)
        return order

    def _forget_done(self) -> None:
        self._database.executemany(
            "DELETE FROM arranged WHERE place > ? AND place <= ?",
            [(order.first, order.last) for order in self._orders if order.done],
        )
        self._orders = [order for order in self._orders if not order.done]

    def read(self, order: Order, limit: int) -> list[ImageRecord]:
        """Return the next images of an order, at most `limit`; none where all are read."""
        return list(map(record_of, self._rows(order, limit, COLUMNS, WITH_TAR)))

    def read_taken(self, order: Order, limit: int) -> list[TakenImage]:
        """Return less of them, in a fraction of the time."""
        return self._rows(order, limit, "captured_at, day, sequence, page, row")

    def _rows(self, order: Order, limit: int, columns: str, joined: str = "") -> list[Any]:
        rows = self._database.execute(
            f"SELECT {columns} FROM arranged CROSS JOIN images "
            f"ON images.number = arranged.number {joined} "
            "WHERE place > ? AND place <= ? ORDER BY place",
            (order.read, end := min(order.read + limit, order.last)),
        ).fetchall()
        order.read = end
        return rows
