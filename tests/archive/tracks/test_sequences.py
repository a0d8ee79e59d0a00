"""A ledger is read a slice of rows at a time: what is told of an image is what its row says."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mapillary_crawler.archive.saved_images import fields_of
from mapillary_crawler.archive.tracks import sequences as module
from mapillary_crawler.archive.tracks.sequences import stretches_of
from mapillary_crawler.collection.names import capture_time
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.sandbox.catalogue import Catalogue
from tests.archive.finish.made import ANN
from tests.ledgers import fresh_ledger, list_rows, stored


@pytest.fixture
def many() -> Iterator[Ledger]:
    """Return a ledger of some slices, with hostile rows, of sequences that lie all over it."""
    users = [
        {"username": "a", "images": 900, "hostile": 200, "odd_values": 0.3, "odd_types": 0.1},
        {"username": "b", "images": 900},
    ]
    rows = [
        row
        for user in users
        for image in Catalogue([user]).user(str(user["username"])).images()
        for row in [listed_row(image.metadata(), ANN)]
        if row
    ]
    random.Random(1).shuffle(rows)
    unique = {row.image_id: row for row in rows}
    with fresh_ledger() as ledger:
        list_rows(ledger, list(unique.values()))
        ledger.save([stored(number) for number in range(1, len(unique) + 1) if number % 10])
        yield ledger


def told(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return what stretches tell of each image, in their order, as text: NaN is NaN."""
    found = []
    for stretch in stretches_of(LedgerHere(ledger)):
        columns = stretch.told
        rows = zip(
            stretch.times, columns.longitudes, columns.latitudes, columns.panoramas,
            columns.cameras, strict=True,
        )  # fmt: skip
        found += [(stretch.sequence, stretch.day, *map(repr, row)) for row in rows]
    return found


def expected(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return the same by the fields of each image."""
    records = [record for record in streams.in_order(LedgerHere(ledger)) if record.size is not None]
    found = []
    for record in sorted(records, key=lambda record: record.sequence):
        fields = fields_of(ledger, record)
        place = image_fields.camera_position(fields)
        longitude, latitude = (place.longitude, place.latitude) if place else (math.nan, math.nan)
        row = (
            capture_time(record.captured_at), longitude, latitude,
            fields.get("is_pano") is True, image_fields.camera(fields),
        )  # fmt: skip
        found.append((record.sequence, record.day, *map(repr, row)))
    return found


def damage(ledger: Ledger, statements: Sequence[str]) -> None:
    for statement in statements:
        ledger.database.execute(statement)


@pytest.mark.parametrize("most", [1, 1000])
def test_whatever_is_read_again(many: Ledger, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(module, "_MOST_BEGUN", most)
    assert told(many) == expected(many)


def test_rows_that_are_not_there_tell_nothing(many: Ledger) -> None:
    damage(
        many,
        [
            "UPDATE images SET page = NULL WHERE number % 7 = 0",
            "UPDATE images SET row = row + 150 WHERE number % 5 = 0",
            "UPDATE images SET row = 'x' WHERE number % 13 = 0",
            "UPDATE images SET page = 'y' WHERE number % 17 = 0",
            "UPDATE pages SET rows = x'00' WHERE number = 1",
            "UPDATE pages SET rows = 'text' WHERE number = 2",
        ],
    )
    found = told(many)
    assert found == expected(many)
    assert 200 < sum(row[3] == "nan" for row in found) < len(found)


@pytest.mark.parametrize(
    "change", ["sequence = '../x'", "sequence = x'61'", "day = '2024-13-45'", "day = NULL"]
)
def test_what_leads_elsewhere_is_refused(many: Ledger, change: str) -> None:
    damage(many, [f"UPDATE images SET {change} WHERE number = 77"])
    with pytest.raises(Refused, match="the ledger is damaged"):
        told(many)
