"""Why nothing of a user in the queue could be cancelled, or tried again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from mapillary_crawler.terminal.program import program_name
from mapillary_crawler.workers.overview import UserInQueue


def why_not_cancelled(name: str, users: Iterable[UserInQueue]) -> str:
    """Return why nothing of a user waits or is being done."""
    states = _states(name, users)
    if "cancelled" in states:
        return f"{name} was cancelled already; it goes on with: {_typed('queue retry', name)}"
    if "failed" in states:
        return f"{name} has failed: there is nothing to cancel"
    if "done" in states:
        return f"{name} is done: there is nothing to cancel"
    return _unknown(name)


def why_not_retried(name: str, users: Iterable[UserInQueue]) -> str:
    """Return why a user has no task: one that is done keeps none, nor its arguments."""
    states = _states(name, users)
    if not states:
        return _unknown(name)
    why = "is done" if states == {"done"} else "has no task any more"
    again = f"{_typed('archive', name)} --queue"
    return f"{name} {why}; enqueue it again, with its arguments: {again}"


def _states(name: str, users: Iterable[UserInQueue]) -> set[str]:
    """Return the states of a user's collections."""
    return {user.state for user in users if user.username == name}


def _unknown(name: str) -> str:
    return f"{name} is not in the queue; see {program_name()} queue"


def _typed(words: str, name: str) -> str:
    return f"{program_name()} {words} {shlex.quote(name)}"
