"""The SQLite connection, its transactions, and the one thread that owns it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import STATE
from mapillary_crawler.ledger.schema import migrate

#: What SQLite keeps beside a database, and opens by itself.
_BESIDE = ("", "-wal", "-shm", "-journal")


def _refuse_links(path: Path) -> None:
    """Raise `sqlite3.DatabaseError` where a ledger is a link or no file: SQLite would follow it."""
    if path.parent.name == STATE and path.parent.is_symlink():
        raise sqlite3.DatabaseError(f"{path.parent} is a link, which is not followed")
    for beside in _BESIDE:
        name = f"{path.name}{beside}"
        try:
            descent.is_file(path.parent, name)
        except descent.NotFollowed as error:
            raise sqlite3.DatabaseError(f"{error.filename} {error.strerror}") from None
        except OSError:
            return  # SQLite says what is the matter


class Database:
    """A connection whose transactions nest: the outermost one commits, durably.

    WAL, so that another process can read progress while a crawl writes;
    `synchronous=FULL`, since files are deleted on the strength of a commit.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        _refuse_links(path)
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)
        self._depth = 0
        try:
            if not read_only:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
            migrate(self._connection, read_only=read_only)
        except BaseException:
            self._connection.close()
            raise

    def execute(self, statement: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run one statement; outside a transaction it commits by itself."""
        return self._connection.execute(statement, tuple(parameters))

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> sqlite3.Cursor:
        """Run one statement for many rows, within the transaction that is open."""
        return self._connection.executemany(statement, (tuple(row) for row in rows))

    def value(self, statement: str, parameters: Iterable[Any] = ()) -> Any:
        """Return the first column of the first row, or None where there is no row."""
        row = self.execute(statement, parameters).fetchone()
        return row[0] if row else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all or nothing of what happens inside."""
        if self._depth == 0:
            self._connection.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
            if self._depth == 1:
                self._connection.execute("COMMIT")
        except BaseException:
            # A full disk ends a transaction by itself, and that error is the one to be told.
            if self._depth == 1 and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Close the connection, leaving the one file, which a read-only disk can hold too."""
        with suppress(sqlite3.OperationalError, sqlite3.ProgrammingError):
            self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
