"""The lines of a collection, read from its ledger; sequences.geojson is one way to write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mapillary_crawler.archive.saved_images import check_taken, fields_of
from mapillary_crawler.archive.tracks.geojson import feature_collection
from mapillary_crawler.archive.tracks.lines import Line, lines
from mapillary_crawler.archive.tracks.usual_row import usual_fields
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import TakenImage
from mapillary_crawler.ledger.thread import LedgerAccess
from mapillary_crawler.ledger.trouble import LedgerDamaged


def lines_of(access: LedgerAccess, *, heights: bool = False) -> Iterator[Line]:
    """Yield the saved images' lines, by the path parts of their sequences."""
    return lines(images_of(access, heights=heights), heights=heights)


def images_of(
    access: LedgerAccess, *, heights: bool = False
) -> Iterator[tuple[TakenImage, dict[str, Any]]]:
    """Yield the saved images as `lines` wants them, with their fields as far as it wants them."""
    return streams.by_sequence(access, _read_all if heights else _read)


def sequences_geojson(access: LedgerAccess) -> Iterator[bytes]:
    """Yield sequences.geojson, row by row, from the ledger alone: the same bytes for the same rows.

    Memory does not grow with the number of images, but for SQLite's sorting, which goes to disk.
    """
    return feature_collection(lines_of(access))


def _read(ledger: Ledger, image: TakenImage) -> tuple[TakenImage, dict[str, Any]]:
    check_taken(image)
    try:
        usual = usual_fields(ledger.images.line(image))
    except (TypeError, IndexError, AttributeError, LedgerDamaged):  # a ledger from elsewhere
        usual = None
    return image, fields_of(ledger, image) if usual is None else usual


def _read_all(ledger: Ledger, image: TakenImage) -> tuple[TakenImage, dict[str, Any]]:
    check_taken(image)
    return image, fields_of(ledger, image)
