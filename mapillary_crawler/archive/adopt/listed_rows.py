"""What mapillary_downloader listed: its metadata.jsonl.gz, with the lines it lost."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from mapillary_crawler.archive.adopt.judged import Judged
from mapillary_crawler.collection.names import UNKNOWN_DATE, Collection
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.records import ListedRow


class ListedRows:
    """The rows of a metadata file; what could not be read is counted."""

    def __init__(self, path: Path, collection: Collection) -> None:
        self._path = path
        self._collection = collection
        #: Whether that tool had come to the end of the listing.
        self.complete = False
        #: Lines that hold no image: cut off, or without an id.
        self.unusable = 0
        #: Why the file could not be read to its end, None if it could.
        self.damage: str | None = None

    def __iter__(self) -> Iterator[ListedRow]:
        try:
            with self._open() as lines:
                for line in lines:
                    if line.strip():
                        row = self._row(line)
                        if row is not None:
                            yield row
        except (OSError, EOFError, zlib.error) as error:
            self.damage = f"{self._path.name} cannot be read to its end: {error}"

    def _open(self) -> AbstractContextManager[BinaryIO]:
        if self._path.suffix == ".gz":
            return cast("AbstractContextManager[BinaryIO]", gzip.open(self._path))
        return self._path.open("rb")

    def _row(self, line: bytes) -> ListedRow | None:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            self.unusable += 1
            return None
        if isinstance(fields, dict) and fields.get("__complete__"):
            self.complete = True
            return None
        row = listed_row(fields, self._collection)
        if row is None:
            self.unusable += 1
        return row


def row_of_file(judged: Judged, collection: Collection) -> ListedRow:
    """Return a row for an image that was saved but not listed: what its file itself says.

    mapillary_downloader gives files their capture time, in a tar to the second.
    """
    place = judged.place
    assert place is not None
    fields: dict[str, object] = {"id": place.image_id}
    if place.sequence:
        fields["sequence"] = place.sequence
    if place.day != UNKNOWN_DATE and _day(judged.modified) == place.day:
        fields["captured_at"] = round(judged.modified * 1000)
    row = listed_row(fields, collection)
    assert row is not None
    return row


def _day(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return None
