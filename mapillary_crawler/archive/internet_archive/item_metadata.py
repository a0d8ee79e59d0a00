"""Pure: the metadata of an item: what `.meta` says, told of a volume's own images."""

from __future__ import annotations

from collections.abc import Iterable

from mapillary_crawler.archive.finish.tags import Metadata, dates, recounted
from mapillary_crawler.archive.internet_archive.identifier import volume_identifier
from mapillary_crawler.collection.names import UNKNOWN_DATE


def of_volume(
    metadata: Metadata, identifier: str, volume: int, *, images: int, days: Iterable[str]
) -> Metadata:
    """Return the metadata of one of several volumes: it counts its own images only."""
    dated = sorted(day for day in days if day != UNKNOWN_DATE)
    result = {tag: list(values) for tag, values in metadata.items()}
    description = "\n".join(metadata.get("description", []))
    counted = recounted(description, images, dated)
    result["description"] = [f"{counted}\n\n{_place(identifier, volume)}"]
    for tag in ("date", "coverage"):
        result.pop(tag, None)
    result |= dates(dated)
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
