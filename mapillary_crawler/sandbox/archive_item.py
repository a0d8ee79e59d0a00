"""An item of archive.org: metadata, files, and the tasks that will change them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .archive_tasks import STATES, End, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .archive_tasks import ReceivedFile

#: Who everybody else is.
SOMEBODY = "somebody@example.org"
#: The server that has all items.
SERVER = "ia800000.us.archive.org"
#: What a dark item still shows.
_OF_DARK = ("created", "dir", "server")


@dataclass(slots=True)
class Item:
    """One item: what the metadata API says of it, and what is still to come."""

    answer: dict[str, Any]
    tasks: list[Task] = field(default_factory=list)
    #: Its tasks wait until they are released.
    paused: bool = False
    #: They wait, for this or because all do.
    waits: bool = False
    #: Uploads that it took.
    accepted: int = 0
    #: Files that somebody will replace, by how many answers show the true md5 before.
    replaced: dict[str, int] = field(default_factory=dict)
    #: The md5 of files as they were received.
    received: dict[str, str] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any]:
        """The item's metadata; empty for an item that began as a dark one."""
        found: dict[str, Any] = self.answer.get("metadata", {})
        return found

    @property
    def files(self) -> list[dict[str, Any]]:
        """The files that are there, as the metadata API has them."""
        found: list[dict[str, Any]] = self.answer.get("files", [])
        return found

    @property
    def is_dark(self) -> bool:
        """Whether the item shows nothing and takes nothing."""
        return bool(self.answer.get("is_dark"))

    def file(self, name: str) -> dict[str, Any] | None:
        """Return the entry of a file, None if it is not there."""
        return next((each for each in self.files if each["name"] == name), None)

    def set_files(self, files: Iterable[dict[str, Any]]) -> None:
        """Replace the files, and what is counted of them."""
        held = list(files)
        size = sum(int(each.get("size", 0)) for each in held)
        self.answer.update(files=held, files_count=len(held), item_size=size)

    def due(self, now: float) -> list[Task]:
        """Return the tasks that are done by now, in their order."""
        return [each for each in self.tasks if each.end is not End.ERROR and each.done_at <= now]

    def take(self, file: ReceivedFile) -> None:
        """Put a file into the item."""
        entry = {
            "name": file.name,
            "source": "original",
            "size": str(file.size),
            "md5": file.md5,
            "mtime": str(int(time.time())),
            "format": "TAR" if file.name.endswith(".tar") else "Unknown",
        }
        self.set_files([*(each for each in self.files if each["name"] != file.name), entry])
        self.received[file.name] = file.received_md5

    def replace_files(self) -> list[str]:
        """Let somebody replace the files whose time has come; return their names."""
        found = [each for each in self.files if each["name"] in self.replaced]
        gone = [each for each in found if self.replaced[each["name"]] <= 0]
        for each in found:
            self.replaced[each["name"]] -= 1
        for each in gone:
            del self.replaced[each["name"]]
            each["md5"] = "0" * 32
        return [each["name"] for each in gone]

    def shown(self, *, tasks: bool = True) -> dict[str, Any]:
        """Return what the metadata API answers; without `tasks` it says nothing of them."""
        if self.is_dark:
            kept = {key: self.answer[key] for key in _OF_DARK if key in self.answer}
            return {**kept, "is_dark": True}
        if not (self.tasks and tasks):
            return self.answer
        rows = [self.row(task) for task in self.tasks]
        return {**self.answer, "pending_tasks": True, "tasks": rows}

    def row(self, task: Task) -> dict[str, Any]:
        """Return a task as the Tasks API lists it."""
        return {
            "identifier": self.metadata.get("identifier"),
            "task_id": task.number,
            "cmd": task.command,
            "server": SERVER,
            "submittime": "2024-06-01 00:00:00.000000",
            "submitter": self.metadata.get("uploader"),
            "priority": 0,
            "args": task.arguments,
            "status": self._state(task),
        }

    def summary(self) -> dict[str, int]:
        """Return how many tasks stand how."""
        states = [self._state(task) for task in self.tasks]
        return {state: states.count(state) for state in STATES}

    def _state(self, task: Task) -> str:
        if task.end is End.ERROR:
            return "error"
        return "paused" if self.waits else "queued"
