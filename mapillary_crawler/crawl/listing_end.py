"""Pure: what follows when a listing has come to its last page."""

from __future__ import annotations

from enum import Enum

from mapillary_crawler.ledger.records import Position

#: Seconds after which a listing is gone through once more: late uploads land behind its cursor.
_LONG = 3600


class Step(Enum):
    """What to do next; the value says why."""

    CLOSE = "complete"
    SHORT = "it ended with fewer images than it had before"
    LONG = "it took more than an hour"
    RESUMED = "it was resumed"
    MISSING = "images are missing that it had when it was last complete"


def next_step(position: Position, *, known: int, short_before: int | None) -> Step:
    """Return what follows on a page without a next one.

    `known` are the ids the ledger has, `short_before` the rows of an earlier round that was
    short. A round that is as short again is believed: images were deleted.
    """
    if position.rows < known and position.rows != short_before:
        return Step.SHORT
    if position.again or (position.seconds <= _LONG and not position.resumed):
        return Step.CLOSE
    return Step.RESUMED if position.resumed else Step.LONG
