"""Many images of a ledger, one after another, for who reads them in another thread than its own.

Each batch is a short question; between two of them the ledger does other work, and what that
changes may show. Memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from mapillary_crawler.ledger.arranged import Order
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, TakenImage
from mapillary_crawler.ledger.thread import LedgerAccess

_Read = TypeVar("_Read")

#: Images read at once.
BATCH = 500


def in_order(access: LedgerAccess) -> Iterator[ImageRecord]:
    """Yield all images of the selection in the order of the manifests."""
    return read_in_order(access, lambda _, record: record)


def lines_in_order(access: LedgerAccess) -> Iterator[tuple[ImageRecord, bytes]]:
    """Yield them with their fields as listed: canonical JSON without URLs."""
    return read_in_order(access, lambda ledger, record: (record, ledger.images.line(record)))


def loose(access: LedgerAccess, day: str) -> Iterator[ImageRecord]:
    """Yield the saved images of a day that are in no tar, in bytewise order of their members."""
    if not access.wait_for(lambda ledger: ledger.members.are_in_order(day)):
        yield from _arranged(
            access, lambda ledger: ledger.arranged.loose(day), lambda _, record: record
        )
        return
    key = ""
    while some := access.wait_for(partial(_loose_behind, day, key)):
        yield from (record for _, record in some)
        key = some[-1][0]


def _loose_behind(day: str, key: str, ledger: Ledger) -> list[tuple[str, ImageRecord]]:
    return ledger.members.loose(day, key, BATCH)


def all_loose(access: LedgerAccess) -> Iterator[ImageRecord]:
    """Yield those of all days, in bytewise order, too."""
    for day in access.wait_for(lambda ledger: ledger.days.all()):
        yield from loose(access, day)


def members_in_tars(access: LedgerAccess, day: str) -> Iterator[str]:
    """Yield the members of a day that are in tars."""
    return _arranged(
        access, lambda ledger: ledger.arranged.in_tars(day), lambda _, record: record.member
    )


def by_sequence(
    access: LedgerAccess, read: Callable[[Ledger, list[TakenImage]], list[_Read]]
) -> Iterator[_Read]:
    """Yield what `read` makes, in the ledger's thread, of the saved images, by sequence and time.

    It is given some that follow one another, as many as are read at once. To lay out the order
    takes a while.
    """
    order = access.wait_for(lambda ledger: ledger.arranged.by_sequence())
    yield from _batches(
        access, order, lambda ledger: read(ledger, ledger.arranged.read_taken(order, BATCH))
    )


def read_in_order(
    access: LedgerAccess, read: Callable[[Ledger, ImageRecord], _Read]
) -> Iterator[_Read]:
    """Yield what `read` makes, in the ledger's thread, of those images, in that order."""
    for day in access.wait_for(lambda ledger: ledger.days.in_order()):
        yield from _arranged(access, partial(_lay_out, day), read)


def _lay_out(day: str | None, ledger: Ledger) -> Order:
    return ledger.arranged.in_order(day)


def _arranged(
    access: LedgerAccess,
    lay_out: Callable[[Ledger], Order],
    read: Callable[[Ledger, ImageRecord], _Read],
) -> Iterator[_Read]:
    """Yield what `read` makes, in the ledger's thread, of the images of an order."""
    order = access.wait_for(lay_out)
    yield from _batches(
        access,
        order,
        lambda ledger: [read(ledger, record) for record in ledger.arranged.read(order, BATCH)],
    )


def _batches(
    access: LedgerAccess, order: Order, batch: Callable[[Ledger], list[_Read]]
) -> Iterator[_Read]:
    """Yield what batches of an order have, until one is empty."""
    try:
        while some := access.wait_for(batch):
            yield from some
    finally:  # by whatever thread finds that nobody reads on: it may be the ledger's own
        order.done = True
