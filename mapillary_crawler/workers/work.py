"""Pure: what a task is about: a user, or a slice of one; and what follows on its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mapillary_crawler.collection.arguments import ARGUMENTS, OF_PROCESSES, validate
from mapillary_crawler.collection.layout import slice_name
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.ledger.records import Slice, SliceState
from mapillary_crawler.workers.verdict import Next, Verdict, judge

#: The arguments of a crawl that a task may have; the rest is the task's own, and no setting.
QUEUED = frozenset(ARGUMENTS) - {"username"} - OF_PROCESSES
#: A number of a slice is below this.
_MOST = 10**9
#: Slices that wait at once where they wait for room, of which each may have about an eighth: more
#: would be started in vain, at a second of processor each.
_AHEAD = 8
#: Seconds until it is looked again whether an upload has made room.
_ROOM = 10.0
#: On what slices ended that wait: the first for room, the other for a process of somebody else.
_WAITS = frozenset({Outcome.DISK_FULL.exit_code, Outcome.LOCKED.exit_code})


@dataclass(frozen=True)
class Work:
    """A user, or slice `number` of one, to be crawled with the arguments of `QUEUED`."""

    username: str
    arguments: Mapping[str, str]
    number: int | None = None
    #: How often its crawl has died so far.
    crashes: int = 0

    @property
    def title(self) -> str:
        """The user's name, with the number where it is a slice."""
        return self._of_number(self.username)

    @property
    def is_slice(self) -> bool:
        """Whether it is a slice, which is not listed."""
        return self.number is not None

    @property
    def may_be_shared(self) -> bool:
        """Whether other machines may crawl slices of it; not where it is uploaded or updated."""
        asked = validate({**self.arguments, "username": self.username})
        return not (asked.upload or asked.update or "stop_after" in self.arguments)

    @property
    def uploads(self) -> bool:
        """Whether what it has goes to archive.org, which is the task of the user alone."""
        return self.arguments.get("upload") == "1"

    @property
    def removes(self) -> bool:
        """Whether what archive.org has is removed here, so that a slice may wait for room."""
        return self.uploads and self.arguments.get("remove") == "1"

    @property
    def collection(self) -> Collection:
        """The collection that it is part of."""
        return validate({**self.arguments, "username": self.username}).collection

    @property
    def key(self) -> str:
        """What no other work has that would write in the same folder."""
        return self._of_number(self.collection.name)

    def _of_number(self, name: str) -> str:
        return name if self.number is None else slice_name(name, self.number)

    def fields(self) -> dict[str, Any]:
        """Return it as a task holds it; `read_work` reads it."""
        fields = {"username": self.username, "arguments": dict(self.arguments)}
        own = {"number": self.number} if self.is_slice else {}
        return {**fields, **own, "crashes": self.crashes}

    def options(self, *, cut: bool) -> list[str]:
        """Return the arguments of its crawl; `cut` lets a user be cut into slices.

        A crawl that is to end after a time or an amount is one crawl.
        """
        given = {"username": self.username, **self.arguments}
        if self.is_slice:
            given["slice"] = str(self.number)
        elif cut and "stop_after" not in given:
            given["cut"] = "1"
        return [part for name, value in given.items() for part in ("-a", f"{name}={value}")]


def queued(given: Mapping[str, str]) -> dict[str, str]:
    """Return those of a crawl's arguments that a task has, as they are the same for all users."""
    return {name: value for name, value in given.items() if name in QUEUED}


def read_work(username: Any, arguments: Any, number: Any = None, crashes: Any = 0) -> Work:
    """Return the work of a task, which a stranger may have written; raises `ArgumentRefused`."""
    if not isinstance(arguments, dict):
        raise ArgumentRefused("the task's arguments are no arguments of a crawl")
    unknown = sorted(map(str, arguments.keys() - QUEUED))
    if unknown:
        raise ArgumentRefused(f"a task may not have the argument {unknown[0]!r}")
    if not all(isinstance(value, str) for value in (username, *arguments.values())):
        raise ArgumentRefused("the task's arguments are no text")
    if not (number is None or (type(number) is int and 0 < number < _MOST)):
        raise ArgumentRefused("the task's number is none of a slice")
    if not (type(crashes) is int and crashes >= 0):
        raise ArgumentRefused("the task's crashes are no number")
    work = Work(username, arguments, number, crashes)
    return replace(work, username=work.collection.username)  # checks them all


class Step(NamedTuple):
    """What follows on the end of a task: `works` in `seconds`, none where that was all of it."""

    next: Next
    works: tuple[Work, ...] = ()
    seconds: float = 0


def following(work: Work, code: int, slices: Sequence[Slice] | None) -> Step:
    """Return what follows on a crawl's exit code, by what the ledgers say of the slices.

    `slices` are those of the user's collection as they are now, None where it is not cut. A user
    who was cut is crawled slice by slice; the last that ends brings the user's own task back, which
    merges them, tries again what failed, and finishes. So does one whose URLs have expired: the
    user's own task renews those of all. Where all goes to archive.org each brings it back, to send
    what there is; and one that has no room, for it to make some.
    """
    judged = judge(code, is_slice=work.is_slice, crashes=work.crashes)
    whole = Work(work.username, work.arguments)
    still_open = [each.number for each in slices or () if each.state is SliceState.OPEN]
    if judged.next is Next.MERGE and work.number in still_open:
        judged = Verdict(Next.SHOWN)  # its ledger cannot be read: it has not ended, nor will it
    if work.is_slice:
        if judged.next in (Next.DONE, Next.MERGE):
            return Step(judged.next, (whole,) if work.uploads or not still_open else ())
        waiting = {each.number for each in slices or () if each.wants_urls}
        if code == Outcome.INTERRUPTED.exit_code and work.number in waiting:
            return Step(Next.DONE, (whole,))
        if work.removes and code in _WAITS:
            return Step(Next.DONE, (whole,), _ROOM)
    elif still_open and code == Outcome.INTERRUPTED.exit_code:
        numbers = still_open[: _AHEAD if work.removes else None]
        works = (Work(work.username, work.arguments, number) for number in numbers)
        return Step(Next.DONE, tuple(works))
    if judged.next in (Next.DONE, Next.MERGE, Next.SHOWN):
        return Step(judged.next)
    crashes = work.crashes + (judged.next is Next.CRASHED)
    return Step(judged.next, (replace(work, crashes=crashes),), judged.seconds)
