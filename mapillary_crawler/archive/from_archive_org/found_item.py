"""An item with all its volumes, as archive.org shows it; whatever an answer says is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mapillary_crawler.archive.adopt.image_paths import tar_named
from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.identifier import (
    ArchivedName,
    broken_rule,
    volume_identifier,
)
from mapillary_crawler.archive.internet_archive.presence import RemoteItem
from mapillary_crawler.archive.internet_archive.removal import answer_obstacle
from mapillary_crawler.archive.repair.identity import says_ours
from mapillary_crawler.collection.layout import TAR
from mapillary_crawler.collection.limits import ITEM_FILES
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.terminal.quoting import printable

#: Volumes that are asked for: 100 TB by the rule of thumb for items.
_VOLUMES = 1000
_MD5 = re.compile("[0-9a-f]{32}")


class ItemSource(Protocol):
    """The part of `Ranges` that reads items."""

    def metadata(self, item: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now, nothing for an absent one."""

    def read(self, item: str, name: str, start: int, size: int) -> bytes:
        """Return `size` bytes of a file from `start` on."""


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file and the item, of several volumes, that has it; `modified` is in seconds since 1970."""

    item: str
    name: str
    size: int
    md5: bytes
    modified: int | None = None


@dataclass(frozen=True, slots=True)
class FoundItem:
    """An item and its volumes; `metadata` is the first one's, `files` are by name."""

    identifier: str
    metadata: Metadata
    uploader: str | None
    files: Mapping[str, ItemFile]
    is_busy: bool

    @property
    def is_ours(self) -> bool:
        """Whether this program has made the collection."""
        return says_ours(self.metadata)

    def tars(self) -> list[tuple[ItemFile, str, int]]:
        """Return the tars of days, each with its day and its part, in their order."""
        found = []
        for file in self.files.values():
            named = tar_named(file.name)
            if named and named.day:
                found.append((file, named.day, named.part))
        return sorted(found, key=lambda tar: tar[1:])

    def other_tars(self) -> list[ItemFile]:
        """Return the tars that are of no day."""
        of_days = {file.name for file, _, _ in self.tars()}
        return [
            file
            for file in self.files.values()
            if file.name.endswith(TAR) and file.name not in of_days
        ]


def find_item(identifier: str, source: ItemSource) -> FoundItem:
    """Ask for an item and its volumes; raises `Refused`, `Trouble`.

    Anybody may give an item the name of a volume: one of another uploader is none.
    """
    first = source.metadata(identifier)
    if _is_absent(first):
        raise refused(f"archive.org has no item {identifier}")
    _check(first, identifier)
    metadata = _metadata(first["metadata"])
    uploader = first["metadata"].get("uploader")
    files: dict[str, ItemFile] = {}
    is_busy, name, answer = False, identifier, first
    for number in range(2, _VOLUMES):
        is_busy = is_busy or RemoteItem(answer).is_busy
        for file in _files(name, answer):
            files.setdefault(file.name, file)
        if len(files) > ITEM_FILES:
            raise refused(f"{identifier} has more than {ITEM_FILES:,} files")
        name = volume_identifier(identifier, number)
        answer = source.metadata(name)
        if _is_absent(answer):
            break
        _check(answer, name)
        if answer["metadata"].get("uploader") != uploader:
            break
    known = uploader if isinstance(uploader, str) else None
    return FoundItem(identifier, metadata, known, files, is_busy)


def refuse_name(identifier: str) -> None:
    """Raise `Refused` for what is no identifier of a collection's first item."""
    if rule := broken_rule(identifier):
        raise refused(f"{printable(identifier)} is no identifier: {rule}")
    name = ArchivedName.parse(identifier)
    if name is None:
        raise refused(
            f"{identifier} is none of these collections: they are called "
            "mapillary-USERNAME-QUALITY, with -webp or -jxl or without"
        )
    if name.volume > 1:
        first = identifier.rpartition("-vol")[0]
        raise refused(f"{identifier} is a volume of {first}; adopt that one")


def _is_absent(answer: Mapping[str, Any]) -> bool:
    return not (answer.get("metadata") or answer.get("is_dark") or answer.get("error"))


def _check(answer: Mapping[str, Any], item: str) -> None:
    """Raise `Refused` for what is no answer about an item."""
    if obstacle := answer_obstacle(answer, item):
        raise refused(f"{item} cannot be adopted now: {obstacle}")


def _files(item: str, answer: Mapping[str, Any]) -> list[ItemFile]:
    """Return the files of which size and md5 are known."""
    modified = {entry["name"]: str(entry.get("mtime")) for entry in answer["files"]}
    return [
        ItemFile(item, name, file.size, bytes.fromhex(file.md5), _time(modified[name]))
        for name, file in RemoteItem(answer).files.items()
        if file.size is not None and isinstance(file.md5, str) and _MD5.fullmatch(file.md5)
    ]


def _time(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _metadata(tags: Mapping[str, Any]) -> Metadata:
    """Return the tags as lists of text, as `.meta` has them."""
    lists = {tag: values if isinstance(values, list) else [values] for tag, values in tags.items()}
    return {
        tag: [value for value in values if isinstance(value, str)] for tag, values in lists.items()
    }


def refused(message: str) -> Refused:
    """Return the refusal of an item that is not adopted; nothing is left of it here."""
    return Refused(Outcome.REFUSED, message)
