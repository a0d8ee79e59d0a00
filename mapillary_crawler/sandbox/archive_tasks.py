"""archive.org's tasks: what an accepted request still has to become."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from . import archive_s3
from .answer import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from .answer import Request
    from .archive_item import Item

#: How tasks stand, as the Tasks API counts them.
STATES = ("queued", "running", "error", "paused")
_UNAUTHORIZED = {"success": False, "error": "Unauthorized"}
#: What the Tasks API says to everybody where it says nothing of tasks.
REFUSING: dict[str, Answer] = {
    "forbidden": Answer.of_json(_UNAUTHORIZED, 403),
    "unavailable": Answer(503, b"<html><body>Service Unavailable</body></html>", "text/html"),
}


class End(Enum):
    """What a task comes to."""

    DONE = auto()
    #: It fails, and stays in the item's list for ever.
    ERROR = auto()
    #: It is done, and nothing came of it.
    LOST = auto()


def end_of(*, lost: bool, error: bool) -> End:
    """Return what a task comes to that two faults have struck or not."""
    if lost:
        return End.LOST
    return End.ERROR if error else End.DONE


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file as its item will have it; `received_md5` is what really came, in hexadecimal.

    `body` is where its bytes are kept until then, if they are.
    """

    name: str
    size: int
    md5: str
    received_md5: str
    body: Path | None = None


@dataclass(slots=True)
class Task:
    """Work on an item: done from `done_at` on (monotonic seconds).

    It brings a file or, without one, applies a JSON patch to the metadata.
    """

    file: ReceivedFile | None = None
    patch: list[dict[str, Any]] = field(default_factory=list)
    end: End = End.DONE
    number: int = 0
    done_at: float = 0.0

    @property
    def command(self) -> str:
        """The name of the task, as the Tasks API has it."""
        return "archive.php" if self.file else "modify_xml.php"

    @property
    def arguments(self) -> dict[str, str]:
        """What the Tasks API says of it besides."""
        return {"file": self.file.name} if self.file else {"target": "metadata"}


def listed(request: Request, item: Item | None) -> Answer:
    """Answer `/services/tasks.php`: a summary, and each task with `catalog=1`."""
    if archive_s3.access_key(request.headers) is None:
        return Answer.of_json({"success": False, "error": "Authentication required"}, 401)
    value: dict[str, Any] = {"summary": item.summary() if item else dict.fromkeys(STATES, 0)}
    if request.query.get("catalog") == "1":
        value["catalog"] = [item.row(task) for task in item.tasks] if item else []
    return Answer.of_json({"success": True, "value": value})
