"""The lines of a collection, read from its ledger; sequences.geojson is one way to write them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from mapillary_crawler.archive.saved_images import check_taken
from mapillary_crawler.archive.tracks.geojson import feature_collection
from mapillary_crawler.archive.tracks.lines import Line, lines
from mapillary_crawler.archive.tracks.stretches import Columns, Stretch, columns_of
from mapillary_crawler.collection.names import capture_time
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import TakenImage
from mapillary_crawler.ledger.thread import LedgerAccess
from mapillary_crawler.ledger.trouble import LedgerDamaged

#: Slices that are kept, enough for all sequences of a million images, and what names they may have.
_MOST_BEGUN, _MOST_CHARACTERS = 1_000, 10_000
#: Day, sequence and page.
_belongs_to = itemgetter(1, 2, 3)


def lines_of(access: LedgerAccess, *, heights: bool = False) -> Iterator[Line]:
    """Yield the saved images' lines, by the path parts of their sequences."""
    return lines(stretches_of(access, heights=heights))


def stretches_of(access: LedgerAccess, *, heights: bool = False) -> Iterator[Stretch]:
    """Yield the saved images as `lines` wants them; `heights` as `columns_of`."""
    return streams.by_sequence(access, _Reader(heights=heights).read)


def sequences_geojson(access: LedgerAccess) -> Iterator[bytes]:
    """Yield sequences.geojson, row by row, from the ledger alone: the same bytes for the same rows.

    Memory does not grow with the number of images, but for SQLite's sorting, which goes to disk.
    """
    return feature_collection(lines_of(access))


class _Reader:
    """Reads what rows tell, a slice of a page at a time, and each slice once, if it can.

    A sequence ends within a slice where another begins, which is wanted at some other time.
    """

    def __init__(self, *, heights: bool) -> None:
        self._heights = heights
        #: Slices of which more is wanted, and how many of their rows.
        self._begun: OrderedDict[int, tuple[Columns, int]] = OrderedDict()

    def read(self, ledger: Ledger, images: Sequence[TakenImage]) -> list[Stretch]:
        """Return images that follow one another by sequence; raises `Refused`."""
        return [self._stretch(ledger, list(some)) for _, some in groupby(images, _belongs_to)]

    def _stretch(self, ledger: Ledger, images: Sequence[TakenImage]) -> Stretch:
        captured, days, sequences, pages, rows = zip(*images, strict=True)
        check_taken(days[0], sequences[0])
        told = self._told(ledger, pages[0], rows)
        return Stretch(sequences[0], days[0], [capture_time(each) for each in captured], told)

    def _told(self, ledger: Ledger, page: int, rows: Sequence[int]) -> Columns:
        if page in self._begun:
            columns, left = self._begun.pop(page)
        else:
            columns = columns_of(_rows(ledger, page), heights=self._heights)
            left = len(columns)
        if left > len(rows) and columns.characters() < _MOST_CHARACTERS:
            self._begun[page] = columns, left - len(rows)
            if len(self._begun) > _MOST_BEGUN:
                self._begun.popitem(last=False)
        try:
            return columns.picked(rows)
        except (TypeError, IndexError):  # a ledger from elsewhere
            there = _rows(ledger, page)
            return columns_of([_row(there, row) for row in rows], heights=self._heights)


def _rows(ledger: Ledger, page: int) -> list[bytes]:
    """Return the rows of a slice, none where it is not there."""
    try:
        return ledger.pages.rows(page)
    except LedgerDamaged:
        return []


def _row(rows: Sequence[bytes], row: int) -> bytes:
    """Return a row, an empty one where it is not there."""
    try:
        return rows[row]
    except (TypeError, IndexError):
        return b""
