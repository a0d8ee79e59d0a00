"""The lines of a collection, read from its ledger; sequences.geojson is one way to write them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from mapillary_crawler.archive.read_collection import checked, fields_of
from mapillary_crawler.archive.tracks.geojson import feature_collection
from mapillary_crawler.archive.tracks.lines import Line, lines
from mapillary_crawler.ledger.ledger import Ledger


def lines_of(ledger: Ledger) -> Iterator[Line]:
    """Yield the saved images' lines, by the path parts of their sequences."""
    return lines(checked(ledger.images.by_sequence()), partial(fields_of, ledger))


def sequences_geojson(ledger: Ledger) -> Iterator[bytes]:
    """Yield sequences.geojson, row by row, from the ledger alone: the same bytes for the same rows.

    Memory does not grow with the number of images, but for SQLite's sorting, which goes to disk.
    """
    return feature_collection(lines_of(ledger))
