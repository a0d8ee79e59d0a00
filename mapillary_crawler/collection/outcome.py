"""How a run ends: outcomes with their exit codes, and the exceptions that carry them.

    Exception
     |-- ProjectError              1  an error of ours that no class below names
     |    |-- ArgumentRefused      2  also a ValueError
     |    |    `-- SpiderRefused   2  spiders/user.py; also Scrapy's UsageError
     |    |-- Refused              the exit code of the outcome that it is given
     |    |-- EndOfRun             the exit code of the outcome that it is given
     |    |-- RunStopped           4
     |    |-- DiskFull             6
     |    |-- LedgerTooNew         2  ledger/schema.py
     |    |-- LedgerDamaged        3  ledger/trouble.py; also an sqlite3.DatabaseError
     |    |-- CursorMoved          1  ledger/records.py; the listing goes on from another cursor
     |    |-- CursorLoop           1  ledger/records.py; the listing begins anew
     |    |-- SliceMismatch        2  ledger/records.py
     |    |-- DamagedPackage       2  archive/packages/errors.py
     |    |-- Moved                9  archive/packages/errors.py; it is looked at again
     |    |-- OutOfPatience        7  graph/patience.py
     |    |-- QueueRefused         2  workers/database.py
     |    |-- QueueAway            7  workers/database.py
     |    |-- Shown                1  workers/tasks.py; a task that nobody tries again by itself
     |    |-- FinishError          1  archive/finish/errors.py; nothing is lost by any of them
     |    |    |-- NotSettled      3
     |    |    |-- ImagesChanged   3
     |    |    |-- PartsLost       3
     |    |    |-- ForeignTar      1
     |    |    |-- BadJournal      2
     |    |    |-- DestinationTaken  1
     |    |    |-- NamesMeet      2
     |    |    `-- ReadBackFailed  1  also an OSError
     |    |-- ManifestsDisagree    1  archive/finish/manifest_reader.py; also a ValueError
     |    |-- NoInventory          2  archive/verify/inventory.py
     |    |-- CredentialsMissing   2  archive/internet_archive/trouble.py
     |    |    `-- NoKeys          2
     |    |-- UnreadableFile       1  archive/internet_archive/body.py
     |    |-- NotVerified          3  archive/internet_archive/verified.py
     |    `-- Trouble              1  archive/internet_archive/trouble.py
     |         |-- Denied          1
     |         |-- Unavailable     7
     |         |    |-- SlowDown   7
     |         |    `-- BadDigest  7
     |         `-- StillUnavailable  7
     `-- OSError, sqlite3.Error    6 where the disk is full, 2 where a file is too large for it,
                                   else 1; LedgerTrouble of ledger/trouble.py is one of the latter

What concerns one image or one answer, and never ends a run by itself, is not among them:
`image/inspection.py`, `crawl/failures.py`, `graph/api.py`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from enum import Enum

#: Errors of a disk that is no longer there.
_DISK_GONE = frozenset(
    {errno.ENOENT, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN}
)
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: SQLite's own number for "database or disk is full" (https://sqlite.org/rescode.html).
_SQLITE_FULL = 13


class Outcome(Enum):
    """How a run ended: the spider's finish_reason, the exit code, a word for people, and advice."""

    COMPLETE = ("finished", 0, "complete")
    ALREADY_ARCHIVED = ("already_archived", 0, "already archived")
    PLANNED = ("planned", 0, "planned", "crawl it to go on")
    ERROR = ("error", 1, "unexpected error", "run the same command again")
    REFUSED = ("refused", 2, "refused")
    INCOMPLETE = ("images_failed", 3, "incomplete", "run the same command again")
    ACCEPTED = ("failed_accepted", 3, "finished without the images that failed, as accepted")
    INTERRUPTED = ("shutdown", 4, "interrupted", "run the same command again")
    CUT = (
        "cut", 4, "cut into slices", "run the same command again once all slices have ended"
    )  # fmt: skip
    SLICE_COMPLETE = ("slice_complete", 0, "slice complete")
    SLICE_INCOMPLETE = (
        "slice_failed", 3, "slice incomplete, its failed images are tried again with the whole"
    )  # fmt: skip
    TOKEN_REFUSED = (
        "token_refused", 5, "the token was refused", "set another and run the same command again"
    )  # fmt: skip
    DISK_FULL = ("disk_full", 6, "disk full", "make space and run the same command again")
    SERVICE_AWAY = (
        "unavailable", 7, "the service stayed unavailable", "run the same command again"
    )  # fmt: skip
    BLOCKED = ("blocked", 7, "the service blocked us", "run the same command again in a day")
    NO_IMAGES = ("no_images", 8, "no images")
    LOCKED = ("locked", 9, "another process works on this collection")
    NOT_UPLOADED = (
        "not_uploaded", 10, "complete here, not all of it is on archive.org",
        "run the same command again",
    )  # fmt: skip

    def __init__(self, reason: str, exit_code: int, words: str, advice: str = "") -> None:
        self.reason = reason
        self.exit_code = exit_code
        self.words = words
        self.advice = advice

    @property
    def sentence(self) -> str:
        """The words, and what to do now."""
        return f"{self.words}, {self.advice}" if self.advice else self.words


#: Exit codes of crawls, the worst first: what several come to is the first that one of them has.
_WORST_FIRST = (1, 2, 9, 4, 5, 6, 7, 3, 10, 8, 0)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that several come to; what a signal ended is an unexpected error."""
    found = {code if code in _WORST_FIRST else Outcome.ERROR.exit_code for code in codes}
    return next((code for code in _WORST_FIRST if code in found), 0)


class ProjectError(Exception):
    """What this program raises where it cannot go on; the message is one line for people."""

    #: How a run ends that this error ends.
    outcome = Outcome.ERROR


class ArgumentRefused(ProjectError, ValueError):
    """An argument or setting that cannot be used."""

    outcome = Outcome.REFUSED


class Refused(ProjectError):
    """The run cannot start, for the reason that its outcome is."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class EndOfRun(ProjectError):
    """The run cannot go on, for the reason that its outcome is."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class RunStopped(ProjectError):
    """The run is being stopped; the next one goes on where this one was."""

    outcome = Outcome.INTERRUPTED

    def __init__(self) -> None:
        super().__init__("the run is being stopped")


class DiskFull(ProjectError):
    """There is no room for the next files; the message says how much is needed."""

    outcome = Outcome.DISK_FULL


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error, of the file system or of SQLite too, means that there is no room."""
    if getattr(error, "errno", None) in _DISK_FULL:  # the ledger's trouble has one, too
        return True
    is_full = getattr(error, "sqlite_errorcode", None) == _SQLITE_FULL
    return is_full or isinstance(error, DiskFull)


def end_of_run(error: BaseException) -> EndOfRun:
    """Return the end of a run that an error brings about: the outcome is its class's."""
    if isinstance(error, EndOfRun):
        return error
    if is_disk_full(error):
        return EndOfRun(Outcome.DISK_FULL, f"the disk is full: {error}")
    if isinstance(error, ProjectError):
        return EndOfRun(error.outcome, str(error))
    if not isinstance(error, OSError) or error.filename is None:
        return EndOfRun(Outcome.ERROR, f"{type(error).__name__}: {error}")
    about = os.fsdecode(error.filename)
    if error.errno == errno.EFBIG and error.strerror == os.strerror(errno.EFBIG):
        return EndOfRun(
            Outcome.REFUSED,
            f"{about} is larger than its disk takes, which is less than 4 GiB a file on FAT32; "
            "nothing is lost. Set TAR_MAX_BYTES lower, which holds for tars that are not made yet, "
            "or use another disk",
        )
    line = f"{about}: {error.strerror}"
    if error.errno in _DISK_GONE:
        line += "; is its disk still there? Once it is, run the same command again"
    return EndOfRun(Outcome.ERROR, line)
