"""Waits until users in the queue have ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.crawl.user_ends import GOES_ON, counted
from mapillary_crawler.terminal.quoting import brief
from mapillary_crawler.workers.database import QueueRefused, connected
from mapillary_crawler.workers.dsn import Dsn
from mapillary_crawler.workers.overview import Overview, UserInQueue, look

#: Seconds between two looks.
_LOOK = 2.0
#: Characters of a reason.
_REASON = 400
_COUNTS = ("listed", "saved", "gone", "unavailable", "failed", "left", "bytes_saved")


def wait_for(
    dsn: Dsn,
    collections: Collection[str],
    lease: float,
    say: Callable[[str], None],
    end: Callable[[UserInQueue], None],
) -> list[UserInQueue]:
    """Return the users of some collections once all have ended; `end` hears of each as it has.

    `say` is told of each as well, and why there is none.
    The queue may go away meanwhile, and come back.
    """
    ended: dict[str, UserInQueue] = {}
    told = ""
    while len(ended) < len(collections):
        try:
            with connected(dsn) as queue:
                found = look(queue, lease)
        except QueueRefused as error:
            found, why = Overview(), f"{error}; waiting"
        else:
            why = (
                f"no machine takes anything: {brief(found.halted, _REASON)}" if found.halted else ""
            )
        if why != told:
            say(why or "the queue goes on")
        told = why
        for name in collections:
            user = found.users.get(name)
            if user and user.has_ended and name not in ended:
                ended[name] = user
                say(f"{brief(user.username)}: {user.words}, {len(ended):,} of {len(collections):,}")
                end(user)
        if len(ended) < len(collections):
            time.sleep(_LOOK)
    return list(ended.values())


def code_of(user: UserInQueue) -> int:
    """Return the exit code of a user that has ended."""
    if user.state == "cancelled":
        return Outcome.INTERRUPTED.exit_code
    if user.exit_code is None:
        return (Outcome.COMPLETE if user.state == "done" else Outcome.ERROR).exit_code
    return user.exit_code


def fields_of(user: UserInQueue) -> dict[str, Any]:
    """Return what a user's line of JSON has: as `scrapy queue`'s, and always an exit code."""
    return {**user.fields(), "exit_code": code_of(user)}


def sum_of(users: Collection[UserInQueue], exit_code: int) -> dict[str, Any]:
    """Return what the line of JSON has that is of all users."""
    return {
        "kind": "sum",
        "username": None,
        "users": len(users),
        "outcomes": dict(Counter(user.words for user in users).most_common()),
        "exit_code": exit_code,
        **{name: sum(getattr(user, name) or 0 for user in users) for name in _COUNTS},
    }


def counted_in_queue(users: Collection[UserInQueue]) -> str:
    """Return how many users ended in which way, and what follows."""
    goes_on = any(code_of(user) in GOES_ON for user in users)
    return counted([user.words for user in users], goes_on=goes_on)
