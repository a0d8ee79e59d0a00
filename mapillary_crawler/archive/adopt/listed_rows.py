"""What mapillary_downloader listed: its metadata.jsonl.gz, with the lines it lost."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mapillary_crawler.archive.adopt.judged import Judged
from mapillary_crawler.archive.finish.manifest_reader import manifest_lines
from mapillary_crawler.collection.limits import TooLarge
from mapillary_crawler.collection.names import UNKNOWN_DATE, Collection
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.records import ListedRow


class ListedRows:
    """The rows of a metadata file; what could not be read is counted.

    Going through them raises `Refused` where it is no such file.
    """

    def __init__(self, folder: Path, name: str, collection: Collection) -> None:
        self._folder = folder
        self._name = name
        self._collection = collection
        #: Whether that tool had come to the end of the listing.
        self.complete = False
        #: Lines that hold no image: cut off, or without an id.
        self.unusable = 0
        #: Why the file could not be read to its end, None if it could.
        self.damage: str | None = None

    def __iter__(self) -> Iterator[ListedRow]:
        try:
            for line in manifest_lines(self._folder, self._name):
                if line.strip():
                    row = self._row(line)
                    if row is not None:
                        yield row
        except (OSError, EOFError, zlib.error) as error:
            self.damage = f"{self._name} cannot be read to its end: {error}"
        except TooLarge as error:
            raise Refused(Outcome.REFUSED, f"{self._folder / self._name} has {error}") from None

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

    mapillary_downloader gives files their capture time, in a tar to the second; it is believed
    where the path says the same day.
    """
    place = judged.place
    assert place is not None
    fields: dict[str, object] = {"id": place.image_id}
    if place.sequence:
        fields["sequence"] = place.sequence
    if place.day not in (None, UNKNOWN_DATE) and _day(judged.modified) == place.day:
        fields["captured_at"] = round(judged.modified * 1000)
    row = listed_row(fields, collection)
    assert row is not None
    return row


def _day(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return None
