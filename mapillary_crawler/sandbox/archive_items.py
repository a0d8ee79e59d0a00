"""archive.org's items by identifier, changed by their tasks as time goes on."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import jsonpatch

from .archive_item import SERVER, Item
from .archive_metadata import PATCH_ERRORS
from .archive_tasks import End, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .archive_bodies import Bodies
    from .archive_log import Log
    from .weather import Chance


class Items:
    """All items by identifier; what is due is done whenever one is looked at."""

    def __init__(
        self,
        answers: Mapping[str, Mapping[str, Any]] | None,
        chance: Chance,
        log: Log,
        bodies: Bodies,
    ) -> None:
        self._items = {
            name: Item(deepcopy(dict(answer))) for name, answer in (answers or {}).items()
        }
        self._chance = chance
        self._log = log
        self._bodies = bodies
        self._tasks = 0

    def find(self, identifier: str) -> Item | None:
        """Return an item as it is now, None if there is none of that identifier."""
        item = self._items.get(identifier)
        if item:
            self._settle(identifier, item)
        return item

    def all(self) -> dict[str, Item]:
        """Return every item as it is now."""
        for identifier, item in self._items.items():
            self._settle(identifier, item)
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
                "server": SERVER,
            }
        )
        self._items[identifier] = item
        return item

    def queue(self, identifier: str, task: Task, seconds: float) -> int:
        """Queue a task that takes so many seconds, after those before it; return its number."""
        item = self._items[identifier]
        self._tasks += 1
        task.number = self._tasks
        before = [each.done_at for each in item.tasks if each.end is not End.ERROR]
        task.done_at = max([*before, time.monotonic() + seconds])
        item.tasks.append(task)
        self._settle(identifier, item)
        return task.number

    def _settle(self, identifier: str, item: Item) -> None:
        """Let the tasks that are due change their item, in their order."""
        item.waits = item.paused or self._chance.faults.archive.tasks_paused
        if item.waits:
            return
        for task in item.due(time.monotonic()):
            if task.end is End.LOST:
                self._log.add("lost", identifier, task.file.name if task.file else "metadata")
                if task.file:
                    self._bodies.drop(task.file)
            elif task.file:
                item.take(task.file)
                self._bodies.place(identifier, task.file)
                self._log.add("came", identifier, task.file.name)
            else:
                try:
                    item.answer["metadata"] = jsonpatch.apply_patch(item.metadata, task.patch)
                except PATCH_ERRORS:  # another write came before
                    task.end = End.ERROR
                    continue
                self._log.add("written", identifier)
            item.tasks.remove(task)
