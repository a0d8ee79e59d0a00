"""Ledgers for tests, and rows to put into them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Committed, ListedRow, StoredFile

_IN_MEMORY = Path("/dev/shm")


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """Open a ledger that does not wait for the disk, and close it."""
    ledger = Ledger(path)
    ledger.database.execute("PRAGMA synchronous = OFF")
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def fast_folder() -> Iterator[Path]:
    """Make a folder that needs no disk, where there is such a place."""
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@contextmanager
def fresh_ledger() -> Iterator[Ledger]:
    """Open an empty ledger in a folder of its own, for one example of many."""
    with fast_folder() as folder, open_ledger(folder / "ledger.sqlite") as ledger:
        yield ledger


def row(
    image_id: str | int,
    captured_at: int | None = 1705276800000,
    *,
    sequence: str = "s",
    url: str | None = "https://cdn.example.org/{}?oe=68B04FC4",
    expires: int | None = 0x68B04FC4,
    outside: bool = False,
    make: str = "GoPro",
) -> ListedRow:
    """Return a listed row, of which only what matters to a test is given."""
    return ListedRow(
        image_id=str(image_id),
        captured_at=captured_at,
        day=capture_day(captured_at),
        sequence=sequence,
        line=f'{{"id":"{image_id}","make":"{make}"}}'.encode("utf-8", "replace"),
        url=url and url.format(image_id),
        expires=expires,
        outside=outside,
    )


def list_rows(ledger: Ledger, rows: Iterable[ListedRow]) -> Committed:
    """Commit rows as the page that the listing stands at, with one more to come."""
    cursor = ledger.listing.position().cursor
    return ledger.listing.commit(cursor, f"{cursor or ''}>", list(rows))


def stored(number: int, size: int = 10, *, damaged: bool = False) -> StoredFile:
    """Return a file as the storage pipeline records it."""
    digest = hashlib.sha256(str(number).encode()).digest()
    return StoredFile(number, "jpg", digest, digest[::-1], size, damaged)
