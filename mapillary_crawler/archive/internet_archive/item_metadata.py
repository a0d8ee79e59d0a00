"""The metadata of an item: what `.meta` says, told of a volume's own images."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mapillary_crawler.archive.internet_archive.identifier import volume_identifier
from mapillary_crawler.collection.names import UNKNOWN_DATE

#: Values by tag, in their order.
Metadata = dict[str, list[str]]

_TAG = re.compile("[A-Za-z0-9._-]+")
_CONTAINS = re.compile(r"\bContains [0-9][0-9,]* images? in (?P<quality>\S+ resolution)[^.]*\.")


def read_metadata(folder: Path) -> Metadata:
    """Return the metadata in a collection's `.meta`, as `rip` reads it.

    One file a value, `.meta/{tag}/{n}`, in the order of n; newlines at the end do not count.
    """
    metadata: Metadata = {}
    meta = folder / ".meta"
    if not meta.is_dir():
        return metadata
    for tag in sorted(meta.iterdir()):
        if not (tag.is_dir() and _TAG.fullmatch(tag.name)):
            continue
        files = [file for file in tag.iterdir() if file.name.isdigit()]
        values = [
            file.read_text(encoding="utf-8").rstrip("\n")
            for file in sorted(files, key=lambda file: int(file.name))
        ]
        if values:
            metadata[tag.name] = values
    return metadata


def of_volume(
    metadata: Metadata, identifier: str, volume: int, *, images: int, days: Iterable[str]
) -> Metadata:
    """Return the metadata of one of several volumes: it counts its own images only."""
    dated = sorted(day for day in days if day != UNKNOWN_DATE)
    span = f"captured between {dated[0]} and {dated[-1]} (UTC)" if dated else "without date"
    result = {tag: list(values) for tag, values in metadata.items()}
    description = "\n".join(metadata.get("description", []))
    counted = _CONTAINS.sub(
        lambda found: f"Contains {images:,} images in {found['quality']} {span}.",
        description,
        count=1,
    )
    result["description"] = [f"{counted}\n\n{_place(identifier, volume)}"]
    for tag in ("date", "coverage"):
        result.pop(tag, None)
    if dated:
        result["date"] = [dated[0]]
        result["coverage"] = [f"{dated[0]} - {dated[-1]}"]
    if volume > 1:
        result["title"] = [f"{title} (volume {volume})" for title in metadata.get("title", [])]
    return result


def _place(identifier: str, volume: int) -> str:
    first = volume_identifier(identifier, 1)
    if volume == 1:
        return (
            f"Volume 1 of the collection {first}, with the manifests of all volumes; "
            f"the others are {volume_identifier(identifier, 2)} and following."
        )
    return (
        f"Volume {volume} of the collection {first}, whose manifests and balance are in "
        f"https://archive.org/details/{first}."
    )
