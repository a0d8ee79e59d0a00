"""Pure: the last line of a run, which says what has become of the collection and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import GONE
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.terminal.quoting import one_line

#: Characters of a reason; what is longer stands in the log.
_REASON = 400
_FINISHED = (Outcome.COMPLETE, Outcome.ACCEPTED, Outcome.NOT_UPLOADED)


class Update(Protocol):
    """What an update has brought, as the ledger counts it."""

    @property
    def new(self) -> int:
        """Images saved that were not listed before."""

    @property
    def available(self) -> int:
        """Images saved that could not be had before."""

    @property
    def vanished(self) -> int:
        """Saved images that the service does not list any more."""


def last_line(
    name: str,
    outcome: Outcome,
    balance: Balance,
    *,
    reason: str = "",
    folder: Path,
    command: str | None,
    adopt: str = "",
    changes: Update | None = None,
) -> str:
    """Return the outcome, its reason unless that says it already, the balance, and what follows.

    `folder` is where a finished collection is; `command` is what makes a run go on, or, where
    archive.org has the collection, what fetches it all the same: None for a job of a server, empty
    where whoever has started it goes on.
    `adopt` is what takes over what archive.org has.
    `changes` is what an update has brought.
    """
    because = one_line(reason, _REASON)
    if outcome is Outcome.CUT:
        return f"{name}: {because}"
    words = f"{outcome.words} ({because})" if because else outcome.words
    if because.startswith(outcome.words):
        words = because
    line = f"{name}: {words}: {balance}"
    if outcome in _FINISHED:
        lacking = balance.gone + balance.unavailable + balance.accepted
        names = f"; {GONE} there names the {lacking} that are not" if lacking else ""
        line = f"{line}{_update(changes)}; it is in {folder}{names}"
    if outcome is Outcome.ALREADY_ARCHIVED:
        taken = f"To go on from there, without its tars: {adopt}. " if adopt else ""
        anyway = f"To fetch it all the same: {command or 'check_ia=0'}"
        return f"{line}; nothing was fetched. {taken}{anyway}"
    if not outcome.advice or command == "":
        return line
    if command is None:
        return f"{line}; {outcome.advice.replace(_AGAIN, 'schedule it again')}"
    return f"{line}; {outcome.advice}: {command}"


def _update(changes: Update | None) -> str:
    """Return what an update has brought, in words."""
    if changes is None:
        return ""
    return (
        f"; update: {changes.new:,} new, {changes.available:,} now available, "
        f"{changes.vanished:,} no longer on Mapillary (kept)"
    )


_AGAIN = "run the same command again"
