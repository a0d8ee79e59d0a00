"""The ledger of a collection for those who only read, on whatever disk it lies."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import titled, unescape, user_and_quality
from mapillary_crawler.collection.outcome import ProjectError, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.trouble import LedgerTrouble, is_unreadable_in_place

#: Errors of a disk that takes no new file. A lock that somebody holds has its file already.
_NO_NEW_FILES = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT})
#: What belongs to a ledger: itself, and what a kill left to be taken in.
_FILES = ("", "-wal", "-journal")


def title(folder: Path) -> str:
    """Return a collection's name, with its user's beside it where it does not show that.

    Only where the name was cut is the ledger looked at.
    """
    parts = user_and_quality(folder.name)
    username = None
    if parts and unescape(parts[0]) is None:
        with suppress(sqlite3.Error, ProjectError, OSError), closing(read_ledger(folder)) as ledger:
            username = ledger.facts.get("username")
    return titled(folder.name, username if isinstance(username, str) else None)


def read_ledger(folder: Path, *, locked: bool = False) -> Ledger:
    """Open the ledger of a collection for reading.

    Where its disk does not allow that (a WAL without shared memory, what a kill left on a disk
    that is full or cannot be written), a copy of it is read, which is removed when it is closed.
    It is made under the collection's lock, which the caller may have: `locked`. Never in SQLite's
    immutable mode, which would not see what a WAL has.

    Raises `LedgerTooNew`, and `sqlite3.Error`: `LedgerTrouble` where the disk is at fault.
    """
    path = folder / LEDGER_PATH
    try:
        return Ledger(path, read_only=True)
    except sqlite3.OperationalError as error:
        if not is_unreadable_in_place(error):
            raise
        try:
            return _copied(folder, locked=locked)
        except OSError as trouble:
            raise LedgerTrouble(path, trouble.errno or errno.EIO, error) from None
        except Refused:  # who works on it can be waited for
            raise LedgerTrouble(path, errno.EBUSY, error) from None


class _CopiedLedger(Ledger):
    """A ledger whose folder is removed when it is closed."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._folder = folder
        super().__init__(Path(folder.name) / LEDGER_PATH.name)

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


def _copied(folder: Path, *, locked: bool) -> Ledger:
    lock = None if locked else _lock(folder)
    copy = tempfile.TemporaryDirectory(prefix="mapillary-ledger-", ignore_cleanup_errors=True)
    try:
        for suffix in _FILES:
            name = LEDGER_PATH.name + suffix
            with suppress(FileNotFoundError):
                shutil.copyfile((folder / LEDGER_PATH).with_name(name), Path(copy.name) / name)
        return _CopiedLedger(copy)
    except BaseException:
        copy.cleanup()
        raise
    finally:
        if lock:
            lock.release()


def _lock(folder: Path) -> Lock | None:
    """Return the collection's lock, or none where nobody could take it either."""
    try:
        return Lock({folder.parent}, folder.name)
    except OSError as error:
        if error.errno in _NO_NEW_FILES:
            return None
        raise
