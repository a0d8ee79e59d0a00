"""Pure: an item on archive.org as a search finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mapillary_crawler.archive.finish.tags import image_count
from mapillary_crawler.archive.internet_archive.identifier import ArchivedName

#: The tag that this program and the tool before it give every item, so that all are found.
SEARCH = "mapillary_downloader:*"
FIELDS = (
    "identifier",
    "title",
    "description",
    "item_size",
    "collection",
    "uploader",
    "mapillary_downloader",
    "scanner",
)
#: archive.org's collection for such items; only its staff and members put items there.
HOME = "mapillary-images"


@dataclass(frozen=True, slots=True)
class ArchivedItem:
    """One item; `images` is None where its description does not say how many it has.

    `size` is in bytes, `collections` are archive.org's, `maker` is the tool that made it.
    """

    identifier: str
    images: int | None
    size: int
    collections: tuple[str, ...]
    maker: str
    uploader: str | None = None

    @classmethod
    def found(cls, result: Mapping[str, Any]) -> ArchivedItem | None:
        """Return the item of a search result, None where it names none."""
        identifier = result.get("identifier")
        if not isinstance(identifier, str) or not identifier:
            return None
        scanners = " ".join(_texts(result.get("scanner")))
        return cls(
            identifier=identifier,
            images=image_count(" ".join(_texts(result.get("description")))),
            size=_whole_number(result.get("item_size")),
            collections=tuple(_texts(result.get("collection"))),
            maker="mapillary_crawler"
            if "mapillary_crawler" in scanners
            else "mapillary_downloader",
            uploader=next(iter(_texts(result.get("uploader"))), None),
        )

    @classmethod
    def kept(cls, fields: Mapping[str, Any]) -> ArchivedItem:
        """Return the item that `fields` was made from; TypeError if it was not."""
        return cls(**{**fields, "collections": tuple(fields["collections"])})

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self)

    def uploaded_by(self, uploader: str) -> ArchivedItem:
        """Return the same item with its uploader."""
        return replace(self, uploader=uploader)

    @property
    def name(self) -> ArchivedName | None:
        """What the identifier says, None where it is none of ours."""
        return ArchivedName.parse(self.identifier)

    @property
    def at_home(self) -> bool:
        """Whether the item is in the collection for such items."""
        return HOME in self.collections


def _texts(value: Any) -> list[str]:
    """Return the values of a metadata field: archive.org gives one as text, several as a list."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _whole_number(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
