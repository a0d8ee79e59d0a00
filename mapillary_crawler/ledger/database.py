"""The SQLite connection, its transactions, and the one thread that owns it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import STATE, ledger_files
from mapillary_crawler.ledger.schema import migrate
from mapillary_crawler.ledger.trouble import explain


def _refuse_links(path: Path) -> None:
    """Raise `sqlite3.DatabaseError` where a ledger is a link or no file: SQLite would follow it."""
    if path.parent.name == STATE and path.parent.is_symlink():
        raise sqlite3.DatabaseError(f"{path.parent} is a link, which is not followed")
    for name in ledger_files(path.name):
        try:
            descent.is_file(path.parent, name)
        except descent.NotFollowed as error:
            raise sqlite3.DatabaseError(f"{error.filename} {error.strerror}") from None
        except OSError:
            return  # SQLite says what is the matter


def take_back(path: Path) -> None:
    """Undo what a writer that was killed has begun with a rollback journal, as the next one would.

    Who only reads may not, and SQLite refuses it the ledger for that. The journal of a writer that
    lives stays: SQLite knows by its locks. Raises `sqlite3.Error`.
    """
    if path.with_name(f"{path.name}-journal").exists():
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


class Database:
    """A connection whose transactions nest: the outermost one commits, durably.

    WAL, so that another process can read progress while a crawl writes;
    `synchronous=FULL`, since files are deleted on the strength of a commit.

    Without `wal` the rollback journal is used, for ledgers on whatever disk a store is on: a WAL
    needs memory that processes share. Then nobody else may have the ledger open when it is.

    Where the disk is at fault, a writer raises `LedgerTrouble`.
    """

    def __init__(self, path: Path, *, read_only: bool = False, wal: bool = True) -> None:
        _refuse_links(path)
        #: Where the file is.
        self.path = path
        self._read_only = read_only
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._depth = 0
        try:
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)
        except sqlite3.OperationalError as error:
            raise self._explained(error) from None
        try:
            if not read_only:
                self._set_up_writing(wal=wal)
            migrate(self._connection, read_only=read_only)
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise self._explained(error) from None
        except BaseException:
            self._connection.close()
            raise

    def _set_up_writing(self, *, wal: bool) -> None:
        execute = self._connection.execute
        if wal:
            execute("PRAGMA journal_mode = WAL")
        else:
            # Who has a WAL for itself shares no memory: so one that a kill has left is taken in.
            execute("PRAGMA locking_mode = EXCLUSIVE")
            execute("PRAGMA journal_mode = DELETE")
            execute("PRAGMA locking_mode = NORMAL")
            execute("BEGIN EXCLUSIVE")
            with suppress(OSError):  # of a reader that could not share it
                self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
            execute("COMMIT")
        execute("PRAGMA synchronous = FULL")

    def _explained(self, error: sqlite3.OperationalError) -> sqlite3.OperationalError:
        """Return what an error means; a reader writes nothing, not even to find that out."""
        return error if self._read_only else explain(error, self.path)

    def execute(self, statement: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run one statement; outside a transaction it commits by itself."""
        try:
            return self._connection.execute(statement, tuple(parameters))
        except sqlite3.OperationalError as error:
            raise self._explained(error) from None

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> sqlite3.Cursor:
        """Run one statement for many rows, within the transaction that is open."""
        try:
            return self._connection.executemany(statement, (tuple(row) for row in rows))
        except sqlite3.OperationalError as error:
            raise self._explained(error) from None

    def value(self, statement: str, parameters: Iterable[Any] = ()) -> Any:
        """Return the first column of the first row, or None where there is no row."""
        row = self.execute(statement, parameters).fetchone()
        return row[0] if row else None

    def fold_wal(self) -> None:
        """Bring the WAL into the ledger and give its bytes back; not in a transaction.

        SQLite writes it anew from its start, but never shortens it: it stays at its largest, 4 MB
        and more. Where another connection reads, it is left for another time.
        """
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all or nothing of what happens inside."""
        if self._depth == 0:
            self.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
            if self._depth == 1:
                self.execute("COMMIT")
        except BaseException:
            # A full disk ends a transaction by itself, and that error is the one to be told.
            if self._depth == 1 and self._connection.in_transaction:
                with suppress(sqlite3.OperationalError):
                    self._connection.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    @contextmanager
    def attached(self, path: Path, name: str) -> Iterator[None]:
        """Let statements read another ledger, whose tables are `name.TABLE`; not in a transaction.

        It is closed, or none of this version's readers would be in the way of who writes it.
        """
        _refuse_links(path)
        take_back(path)
        self.execute(f"ATTACH ? AS {name}", (f"{path.absolute().as_uri()}?mode=ro",))
        try:
            yield
        finally:
            self.execute(f"DETACH {name}")

    def copy_to(self, path: Path) -> None:
        """Make a copy of the whole in a new file, as it is now."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)

    def close(self) -> None:
        """Close the connection, leaving the one file, which a read-only disk can hold too."""
        with suppress(sqlite3.OperationalError, sqlite3.ProgrammingError):
            self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
