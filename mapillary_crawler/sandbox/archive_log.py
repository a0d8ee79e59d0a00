"""What happened at archive.org, in its order: for tests that ask what came before what."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .answer import Upload

#: `put`, `write`: an upload or a metadata write was accepted. `came`, `written`: its task is done.
#: `lost`: its task is done, and nothing came of it. `read`, `tasks`: the metadata or the tasks of
#: an item were asked for and answered. `changed`: somebody else changed the item.
What = Literal["put", "came", "write", "written", "lost", "read", "tasks", "changed"]
#: Those that are answers.
ANSWERED = frozenset({"put", "write", "read", "tasks"})


@dataclass(frozen=True, slots=True)
class Put:
    """A PUT as it came, and the status of its answer.

    `read` says whether the client could read the answer; a PUT that was reset while its body
    was sent has no status. `accepted` says whether the file was taken, whatever was answered.
    """

    identifier: str
    name: str
    size: int
    md5: str
    status: int | None
    read: bool
    headers: dict[str, str]
    accepted: bool = False


@dataclass(slots=True)
class Event:
    """Something that happened to an item; `name` is a file, a part of the metadata or a change.

    `at` is in seconds since the epoch; `read` is False where an answer did not arrive whole.
    """

    what: What
    identifier: str
    name: str
    at: float
    read: bool = True


class Log:
    """Every PUT and every event since the start or the last reset."""

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.events: list[Event] = []
        #: Accepted PUTs by path, `/identifier/name`.
        self.accepted: Counter[str] = Counter()

    def add(self, what: What, identifier: str, name: str = "") -> None:
        """Note that something happened now."""
        self.events.append(Event(what, identifier, name, time.time()))
        if what == "put":
            self.accepted[f"/{identifier}/{name}"] += 1

    def put(
        self,
        place: tuple[str, str],
        upload: Upload,
        headers: dict[str, str],
        status: int | None,
        *,
        read: bool,
        accepted: bool,
    ) -> None:
        """Note a PUT to (identifier, name) and what it came to."""
        self.puts.append(Put(*place, upload.size, upload.md5, status, read, headers, accepted))

    def report(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "puts": [asdict(each) for each in self.puts],
            "log": [asdict(each) for each in self.events],
            "accepted": dict(self.accepted),
        }

    def summary(self) -> dict[str, int]:
        """Return how many files were accepted, how often, and how many more than once."""
        counts = self.accepted.values()
        return {
            "files": len(counts),
            "total": sum(counts),
            "max": max(counts, default=0),
            "repeated": sum(count > 1 for count in counts),
        }
