"""What SQLite's errors about the disk mean: SQLite tells no more than "disk I/O error"."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from mapillary_crawler.collection.layout import is_slice
from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.collection.probes import try_room

#: Result codes, of which the lowest byte is the kind (https://sqlite.org/rescode.html).
_BUSY, _READONLY, _IOERR, _FULL, _CANTOPEN, _PROTOCOL = 5, 8, 10, 13, 14, 15


class LedgerTrouble(sqlite3.OperationalError):
    """The disk's trouble with a ledger: `errno`, `filename`, `reason`.

    It says nothing against the ledger, which may be whole.
    """

    def __init__(self, path: Path, number: int, error: sqlite3.Error | None = None) -> None:
        self.reason = os.strerror(number)
        if error is not None:
            self.reason += f" (SQLite: {error}, {_name(error)})"
            self.sqlite_errorcode, self.sqlite_errorname = _code(error), _name(error)
        super().__init__(f"{path}: {self.reason}")
        self.errno = number
        self.filename = str(path)


class LedgerDamaged(ProjectError, sqlite3.DatabaseError):
    """A ledger that SQLite can read, and that does not hold what this program has written."""

    outcome = Outcome.INCOMPLETE

    def __init__(self, path: Path, why: str) -> None:
        what_to_do = "mend it with the command repair"
        if is_slice(path.parent.parent.name):
            what_to_do = f"move {path.parent.parent} away, and its images are fetched again"
        super().__init__(f"{path} is damaged: {why}; put it back from a backup, or {what_to_do}")


def explain(error: sqlite3.OperationalError, path: Path) -> sqlite3.OperationalError:
    """Return `LedgerTrouble` for an error about the disk, any other as it is.

    The disk is asked for what SQLite does not tell, by writing a little: a quota that is used
    up, and room that is not even enough for SQLite's shared memory, are disk I/O errors to it.
    """
    if isinstance(error, LedgerTrouble) or _kind(error) not in {_IOERR, _FULL, _CANTOPEN}:
        return error
    number = errno.ENOSPC if _kind(error) == _FULL else errno.EIO
    if _kind(error) == _CANTOPEN and path.exists():  # not opened: to close it would end its locks
        number = number if os.access(path, os.R_OK | os.W_OK) else errno.EACCES
    try:
        try_room(path.parent)
    except OSError as found:
        number = found.errno or number
    return LedgerTrouble(path, number, error)


def is_unreadable_in_place(error: sqlite3.Error) -> bool:
    """Say whether a copy on another disk may be readable where this ledger is not.

    A journal or a WAL that a kill has left needs a disk that can be written, and a WAL one that
    shares memory.
    """
    return _kind(error) in {_READONLY, _IOERR, _FULL, _CANTOPEN, _PROTOCOL}


def is_of_the_disk(error: sqlite3.Error) -> bool:
    """Say whether an error is the disk's, or of who else has the ledger, and not the ledger's."""
    return is_unreadable_in_place(error) or is_locked(error)


def is_locked(error: sqlite3.Error) -> bool:
    """Say whether somebody else has the ledger, for longer than is waited for here."""
    return _kind(error) == _BUSY or getattr(error, "errno", None) == errno.EBUSY


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))


def _kind(error: sqlite3.Error) -> int:
    return _code(error) & 0xFF


def _name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", "unknown"))
