"""Waits until users in the queue have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.terminal.quoting import brief
from mapillary_crawler.workers.database import QueueRefused, connected
from mapillary_crawler.workers.dsn import Dsn
from mapillary_crawler.workers.overview import Overview, UserInQueue, look

#: Seconds between two looks.
_LOOK = 2.0
#: Characters of a reason.
_REASON = 400


def wait_for(
    dsn: Dsn, collections: Collection[str], lease: float, say: Callable[[str], None]
) -> dict[str, UserInQueue]:
    """Return the users of some collections once all have ended; `say` hears of each, and why not.

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
        if why and why != told:
            say(why)
        told = why
        for name in collections:
            user = found.users.get(name)
            if user and user.has_ended and name not in ended:
                ended[name] = user
                say(f"{brief(user.username)}: {user.state}, {len(ended):,} of {len(collections):,}")
        if len(ended) < len(collections):
            time.sleep(_LOOK)
    return ended


def code_of(user: UserInQueue) -> int:
    """Return the exit code of a user that has ended."""
    if user.state == "cancelled":
        return Outcome.INTERRUPTED.exit_code
    if user.exit_code is None:
        return (Outcome.COMPLETE if user.state == "done" else Outcome.ERROR).exit_code
    return user.exit_code
