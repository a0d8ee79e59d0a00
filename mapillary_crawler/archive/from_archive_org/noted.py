"""What a ledger is told of tars that are in an item, and of whose the item is."""

from __future__ import annotations

import time
from typing import Any

from mapillary_crawler import __version__
from mapillary_crawler.archive.from_archive_org.found_item import FoundItem, ItemFile
from mapillary_crawler.archive.on_archive_org import UPLOADERS, VERIFIED
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState

#: The fact that says from which item the collection was begun, whose that was, and when.
FROM_ITEM = "from_item"


def note_there(ledger: Ledger, file: ItemFile, sha256: bytes | None) -> None:
    """Note that a tar is in an item, and not here."""
    piece = ledger.pieces.find(file.name)
    assert piece is not None
    ledger.pieces.written(piece.number, size=file.size, sha256=sha256, md5=file.md5)
    ledger.pieces.set_state(file.name, PieceState.REMOVED, file.item)


def reserve(ledger: Ledger, file: ItemFile, day: str, part: int) -> None:
    """Note that an item has a tar of which nobody knows what it holds: its name is taken."""
    ledger.pieces.seal_tar(ledger.pieces.start_tar(file.name, day, part), [])
    note_there(ledger, file, None)


def note_item(ledger: Ledger, found: FoundItem) -> None:
    """Note the item that the collection is from: seen now, and sent by nobody here.

    So nothing is removed here on its strength before it has taken a file from here.
    """
    now = int(time.time())
    there = {piece.item for piece in ledger.pieces.all() if piece.item}
    facts: dict[str, Any] = {
        FROM_ITEM: {"identifier": found.identifier, "uploader": found.uploader, "at": now},
        UPLOADERS: {},
        VERIFIED: {} if found.is_busy else dict.fromkeys(sorted(there), now),
        "versions": sorted({*found.metadata.get("mapillary_downloader", [])[:1], __version__})
        if found.is_ours
        else [__version__],
    }
    ledger.facts.set(**facts)
