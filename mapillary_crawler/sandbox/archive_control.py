"""What somebody else does to items while a test runs: `POST /_sandbox/items`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .archive_item import SOMEBODY
from .archive_tasks import End

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .archive_item import Item
    from .archive_items import Items
    from .archive_log import Log

_FORM = (
    'items are {"identifier": {"uploader": …, "dark": true, "metadata": {"tag": …}, '
    '"files": {"name": {"md5": …}}, "tasks": "paused"}}'
)
#: What a change may be of, and the types of its value.
_KINDS: dict[str, type] = {
    "uploader": str,
    "dark": bool,
    "metadata": dict,
    "files": dict,
    "tasks": str,
}
_TASKS = ("paused", "released", "done")


def changed(items: Items, log: Log, changes: Any) -> None:
    """Change items, and log what was changed; one that is not there is made.

    A tag or a file that is null is removed. `tasks` are paused, released to take their time, or
    done at once, those in error too. ValueError, before any change, names what cannot be.
    """
    _check(changes)
    for identifier, values in changes.items():
        item = items.find(identifier) or items.make(identifier, {"uploader": SOMEBODY})
        for kind, value in values.items():
            for name in _change(item, kind, value):
                log.add("changed", identifier, name)
        items.find(identifier)


def _change(item: Item, kind: str, value: Any) -> Iterator[str]:
    match kind:
        case "uploader":
            _merge(item, {"uploader": value})
        case "dark":
            item.answer.pop("is_dark", None)
            item.answer |= {"is_dark": True} if value else {}
        case "metadata":
            _merge(item, value)
        case "tasks":
            item.paused = value == "paused"
            for task in item.tasks if value == "done" else ():
                task.done_at = time.monotonic()
                task.end = End.DONE if task.end is End.ERROR else task.end
        case _:
            for name, entry in value.items():
                _change_file(item, name, entry)
                yield f"files/{name}"
            return
    yield kind


def _merge(item: Item, tags: Mapping[str, Any]) -> None:
    merged = {**item.metadata, **tags}
    item.answer["metadata"] = {tag: text for tag, text in merged.items() if text is not None}


def _change_file(item: Item, name: str, entry: Mapping[str, Any] | None) -> None:
    """Change what is said of a file, add one that is not there, or remove it."""
    there = item.file(name) or {"name": name, "source": "original", "size": "0"}
    others = [each for each in item.files if each["name"] != name]
    item.set_files(others if entry is None else [*others, {**there, **entry}])


def _check(changes: Any) -> None:
    if not isinstance(changes, dict) or not all(
        isinstance(each, dict) for each in changes.values()
    ):
        raise ValueError(_FORM)
    for identifier, values in changes.items():
        for kind, value in values.items():
            if kind not in _KINDS or not isinstance(value, _KINDS[kind]):
                raise ValueError(f"{identifier}: {kind} cannot be {value!r}; {_FORM}")
        for name, entry in values.get("files", {}).items():
            if not isinstance(entry, dict | None):
                raise ValueError(  # noqa: TRY004 - wrong input
                    f"{identifier}: file {name} cannot be {entry!r}; {_FORM}"
                )
        if values.get("tasks", _TASKS[0]) not in _TASKS:
            raise ValueError(
                f"{identifier}: tasks are {', '.join(_TASKS)}, not {values['tasks']!r}"
            )
