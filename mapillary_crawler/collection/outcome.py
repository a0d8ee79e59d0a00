"""Pure: why a run cannot go on."""

from __future__ import annotations

from mapillary_crawler.collection.balance import Outcome
from mapillary_crawler.collection.batch import DiskFull, is_disk_full


class EndOfRun(Exception):
    """The run cannot go on; carries the outcome, the message says why."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


def end_of_run(error: BaseException) -> EndOfRun:
    """Return the end of a run that an error brings about."""
    if isinstance(error, EndOfRun):
        return error
    if isinstance(error, DiskFull) or is_disk_full(error):
        return EndOfRun(Outcome.DISK_FULL, f"the disk is full: {error}")
    return EndOfRun(Outcome.ERROR, f"{type(error).__name__}: {error}")
