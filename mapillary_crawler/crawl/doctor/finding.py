"""Pure: what was found about a part of the machine, and what a crawl would come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mapillary_crawler.collection.outcome import Outcome

#: Exit codes of faults, the one that counts first.
_ORDER = (1, 2, 5, 6, 7)


class State(StrEnum):
    """What a finding means for a crawl."""

    OK = "ok"
    #: Nothing that a crawl needs, or as somebody has set it.
    NOTE = "note"
    #: A crawl starts, and is worse off or may not come to its end.
    WARNING = "warning"
    #: A crawl cannot start, or ends at once.
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a part; `remedy` says what to do, `outcome` how a crawl ends by it."""

    what: str
    state: State
    found: str
    remedy: str = ""
    outcome: Outcome | None = None

    @property
    def fields(self) -> dict[str, str | None]:
        """The finding for a program; a remedy that there is not is null."""
        return {
            "what": self.what,
            "state": self.state.value,
            "found": self.found,
            "remedy": self.remedy or None,
        }


def ok(what: str, found: str) -> Finding:
    """Return that a part is as a crawl wants it."""
    return Finding(what, State.OK, found)


def note(what: str, found: str, remedy: str = "") -> Finding:
    """Return something to know, which is in no crawl's way."""
    return Finding(what, State.NOTE, found, remedy)


def warning(what: str, found: str, remedy: str) -> Finding:
    """Return something that a crawl goes on with, and that is better mended."""
    return Finding(what, State.WARNING, found, remedy)


def fault(what: str, outcome: Outcome, found: str, remedy: str) -> Finding:
    """Return what keeps a crawl from starting, with how it would end."""
    return Finding(what, State.FAULT, found, remedy, outcome)


def fault_of(what: str, outcome: Outcome, message: str) -> Finding:
    """Return the fault that a crawl's own line tells of: what is wrong; what to do."""
    found, _, remedy = message.partition("; ")
    return fault(what, outcome, found, remedy or "set it to another value")


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if a crawl could start, or the exit code that the faults come to.

    Where several hold, the first of 1, 2, 5, 6, 7, as of a crawl.
    """
    codes = {finding.outcome.exit_code for finding in findings if finding.outcome}
    return next((code for code in _ORDER if code in codes), 0)
