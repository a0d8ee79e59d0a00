"""How a run ends: outcomes with their exit codes, and the exceptions that carry them."""

from __future__ import annotations

import errno
from enum import Enum

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: SQLite's own number for "database or disk is full" (https://sqlite.org/rescode.html).
_SQLITE_FULL = 13


class Outcome(Enum):
    """How a run ended: the spider's finish_reason, the exit code, and a word for people."""

    COMPLETE = ("finished", 0, "complete")
    ALREADY_ARCHIVED = ("already_archived", 0, "already archived")
    PLANNED = ("planned", 0, "planned, crawl it to go on")
    ERROR = ("error", 1, "unexpected error")
    REFUSED = ("refused", 2, "refused")
    INCOMPLETE = ("images_failed", 3, "incomplete, run the same command again")
    ACCEPTED = ("failed_accepted", 3, "finished without the images that failed, as accepted")
    INTERRUPTED = ("shutdown", 4, "interrupted, run the same command again")
    TOKEN_REFUSED = ("token_refused", 5, "the token was refused")
    DISK_FULL = ("disk_full", 6, "disk full, make space and run the same command again")
    SERVICE_AWAY = ("unavailable", 7, "the service stayed unavailable, run the same command again")
    BLOCKED = ("blocked", 7, "the service blocked us, run the same command again in a day")
    NO_IMAGES = ("no_images", 8, "no images")
    LOCKED = ("locked", 9, "another process works on this collection")

    def __init__(self, reason: str, exit_code: int, words: str) -> None:
        self.reason = reason
        self.exit_code = exit_code
        self.words = words


class ArgumentRefused(ValueError):
    """An argument or setting that cannot be used; the message is one line for the user."""


class Refused(Exception):
    """The run cannot start; carries the outcome, the message is one line for the user."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class EndOfRun(Exception):
    """The run cannot go on; carries the outcome, the message says why."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class RunStopped(Exception):
    """The run is being stopped; the next one goes on where this one was."""


class DiskFull(Exception):
    """There is no room for the next files; the message says how much is needed."""


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error of the file system or of SQLite means that there is no room."""
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    return getattr(error, "sqlite_errorcode", None) == _SQLITE_FULL


def end_of_run(error: BaseException) -> EndOfRun:
    """Return the end of a run that an error brings about."""
    if isinstance(error, EndOfRun):
        return error
    if isinstance(error, DiskFull) or is_disk_full(error):
        return EndOfRun(Outcome.DISK_FULL, f"the disk is full: {error}")
    return EndOfRun(Outcome.ERROR, f"{type(error).__name__}: {error}")
