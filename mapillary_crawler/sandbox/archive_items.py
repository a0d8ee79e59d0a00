"""archive.org's items: metadata, files, and the tasks that put files into them."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How tasks stand, as the Tasks API counts them.
STATES = ("queued", "running", "error", "paused")


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file as S3 received it; `md5` in hexadecimal."""

    name: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Task:
    """A file on its way into its item: there from `done_at` on (monotonic seconds).

    A task that fails stays in error for ever, and its file never comes.
    """

    number: int
    file: ReceivedFile
    done_at: float
    fails: bool = False


@dataclass(slots=True)
class Item:
    """One item: what the metadata API says of it, and what is still to come."""

    answer: dict[str, Any]
    tasks: list[Task] = field(default_factory=list)

    @property
    def metadata(self) -> dict[str, Any]:
        """The item's metadata; empty for a dark item, which shows none."""
        found: dict[str, Any] = self.answer.get("metadata", {})
        return found

    def settle(self) -> None:
        """Let the tasks that are due put their files into the item, in their order."""
        now = time.monotonic()
        for task in [each for each in self.tasks if not each.fails and each.done_at <= now]:
            self.tasks.remove(task)
            entry = {
                "name": task.file.name,
                "source": "original",
                "size": str(task.file.size),
                "md5": task.file.md5,
                "mtime": str(int(time.time())),
                "format": "TAR" if task.file.name.endswith(".tar") else "Unknown",
            }
            files = [each for each in self.answer.get("files", []) if each["name"] != entry["name"]]
            self.answer["files"] = [*files, entry]
            self.answer["files_count"] = len(files) + 1
            self.answer["item_size"] = sum(int(each["size"]) for each in self.answer["files"])

    def shown(self) -> dict[str, Any]:
        """Return what the metadata API answers now."""
        self.settle()
        if not self.tasks:
            return self.answer
        rows = [self.row(task) for task in self.tasks]
        return {**self.answer, "pending_tasks": True, "tasks": rows}

    def row(self, task: Task) -> dict[str, Any]:
        """Return a task as the Tasks API lists it."""
        return {
            "identifier": self.metadata.get("identifier"),
            "task_id": task.number,
            "cmd": "archive.php",
            "server": "ia800000.us.archive.org",
            "submittime": "2024-06-01 00:00:00.000000",
            "submitter": self.metadata.get("uploader"),
            "priority": 0,
            "args": {"file": task.file.name},
            "status": "error" if task.fails else "queued",
        }

    def summary(self) -> dict[str, int]:
        """Return how many tasks stand how."""
        self.settle()
        failed = sum(task.fails for task in self.tasks)
        return {**dict.fromkeys(STATES, 0), "error": failed, "queued": len(self.tasks) - failed}


class Items:
    """All items by identifier."""

    def __init__(self, answers: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._items = {
            name: Item(deepcopy(dict(answer))) for name, answer in (answers or {}).items()
        }
        self._tasks = 0

    def find(self, identifier: str) -> Item | None:
        """Return an item, None if there is none of that identifier."""
        return self._items.get(identifier)

    def all(self) -> dict[str, Item]:
        """Return every item, files that are due included."""
        for item in self._items.values():
            item.settle()
        return self._items

    def make(self, identifier: str, metadata: Mapping[str, Any]) -> Item:
        """Make an item as the first upload to it does."""
        item = Item(
            {
                "created": int(time.time()),
                "dir": f"/1/items/{identifier}",
                "files": [],
                "files_count": 0,
                "item_size": 0,
                "metadata": {
                    "identifier": identifier,
                    "mediatype": "data",
                    "collection": "opensource",
                    **metadata,
                },
                "server": "ia800000.us.archive.org",
            }
        )
        self._items[identifier] = item
        return item

    def accept(self, item: Item, file: ReceivedFile, seconds: float, *, fails: bool) -> None:
        """Queue the task that puts a file into an item after so many seconds."""
        self._tasks += 1
        item.tasks.append(Task(self._tasks, file, time.monotonic() + seconds, fails))
        item.settle()
