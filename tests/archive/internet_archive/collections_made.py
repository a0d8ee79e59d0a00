"""Finished collections, made through the ledger and the real finish."""

from __future__ import annotations

import random
from pathlib import Path

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Piece
from tests.archive.finish.made import DAY, NOON, Picture, add, finish, jpeg

ANN = Collection("ann")


def pictures(days: int, first: int = 0, size: int = 2000) -> list[Picture]:
    """Return one image a day, of random bytes but for the first."""
    generator = random.Random(first)
    return [
        Picture(
            image_id=str(10**15 + day),
            captured_at=NOON + day * DAY,
            body=jpeg() if day == 0 else generator.randbytes(size),
        )
        for day in range(first, first + days)
    ]


def make(store: Path, days: int, collection: Collection = ANN, *, tar: bool = True) -> Path:
    """Make a finished collection with a tar a day and a log; return its folder."""
    staging = store / ".incomplete" / collection.name
    add(staging, pictures(days), collection)
    (staging / "download.log.20240601T000000Z").write_text("made for a test\n")
    finish(staging, store, collection, tar=tar)
    ledger = Ledger(store / collection.name / LEDGER_PATH)
    ledger.facts.set(username=collection.username, tar=tar)
    ledger.close()
    return store / collection.name


def grow(store: Path, some: list[Picture], collection: Collection = ANN) -> Path:
    """Add images to a finished collection, as a later update does."""
    folder, staging = store / collection.name, store / ".incomplete" / collection.name
    staging.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(staging)
    add(staging, some, collection)
    finish(staging, store, collection)
    return folder


def pieces(folder: Path) -> dict[str, Piece]:
    """Return what the ledger says of each file."""
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    try:
        return {piece.name: piece for piece in ledger.pieces.all()}
    finally:
        ledger.close()
