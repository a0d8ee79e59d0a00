"""Pure: what the exit code of a crawl means for its task.

Nothing here counts how often a task was taken over or put back: only what the crawl itself says.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from mapillary_crawler.collection.outcome import Outcome


class Next(Enum):
    """What becomes of a task."""

    #: All is done that it was for.
    DONE = auto()
    #: A slice has ended, with images that failed: they are the whole's, which tries them again.
    MERGE = auto()
    #: It is to be tried again.
    LATER = auto()
    #: The crawl died, or met what it did not expect: it is tried again, but not for ever.
    CRASHED = auto()
    #: It is to be tried again once this machine has room; other machines may go on.
    PAUSE_MACHINE = auto()
    #: No machine can go on: the token is refused.
    PAUSE_FLEET = auto()
    #: Somebody has to look: it is not tried again by itself.
    SHOWN = auto()


class Verdict(NamedTuple):
    """What becomes of a task, and after how many seconds it may be tried again."""

    next: Next
    seconds: float = 0


#: Crashes of a task after which it is shown.
CRASHES = 3

#: Seconds until a crawl that died is tried again, twice as many each time.
_CRASHED = 5.0
_PLAIN = {
    Outcome.COMPLETE: Verdict(Next.DONE),
    Outcome.NO_IMAGES: Verdict(Next.DONE),
    Outcome.REFUSED: Verdict(Next.SHOWN),
    Outcome.INTERRUPTED: Verdict(Next.LATER),  # whoever stopped it has put it back
    Outcome.LOCKED: Verdict(Next.LATER, 60),  # by a crawl that somebody runs by hand, say
    Outcome.SERVICE_AWAY: Verdict(Next.LATER, 900),  # beyond all of its own patience
    Outcome.NOT_UPLOADED: Verdict(Next.LATER, 3600),  # the same, with archive.org
    Outcome.DISK_FULL: Verdict(Next.PAUSE_MACHINE, 60),
    Outcome.TOKEN_REFUSED: Verdict(Next.PAUSE_FLEET, 60),
}
_BY_CODE = {outcome.exit_code: verdict for outcome, verdict in _PLAIN.items()}


def judge(code: int, *, is_slice: bool, crashes: int = 0) -> Verdict:
    """Return what a crawl's exit code means, negative where a signal has ended it.

    `crashes` are those of the task before this one.
    """
    if code == Outcome.INCOMPLETE.exit_code:
        return Verdict(Next.MERGE if is_slice else Next.SHOWN)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if crashes + 1 >= CRASHES:
        return Verdict(Next.SHOWN)
    return Verdict(Next.CRASHED, _CRASHED * 2**crashes)
