"""The listed rows themselves, as compressed slices of a page."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.trouble import LedgerDamaged

#: Rows a slice: small enough that one row is cheap to read, large enough to compress well.
SLICE_ROWS = 200
_SLICES_KEPT = 8
#: Bytes of a slice unpacked at most: the rows of an answer (graph/answers.py: 16 MiB), and more.
SLICE_BYTES = 64 << 20


class Pages:
    """Row metadata by slice and line; the last few slices stay unpacked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unpacked: OrderedDict[int, list[bytes]] = OrderedDict()

    def add(self, lines: Sequence[bytes]) -> int:
        """Store JSON lines as one slice and return its number; the caller commits."""
        packed = zlib.compress(b"\n".join(lines), 6)
        number = self._database.execute("INSERT INTO pages (rows) VALUES (?)", (packed,)).lastrowid
        assert number is not None
        return number

    def line(self, page: int, row: int) -> bytes:
        """Return the canonical JSON of a row; raises `LedgerDamaged` where there is none."""
        try:
            return self.kept(page)[row]
        except (IndexError, TypeError):
            raise self._damaged("an image has no listed row") from None

    def kept(self, page: int) -> list[bytes]:
        """Return all rows of a slice, which stays unpacked for a while; raises as `rows`."""
        rows = self._unpacked.get(page)
        if rows is None:
            rows = self.rows(page)
            self._unpacked[page] = rows
            if len(self._unpacked) > _SLICES_KEPT:
                self._unpacked.popitem(last=False)
        else:
            self._unpacked.move_to_end(page)
        return rows

    def rows(self, page: int) -> list[bytes]:
        """Return all rows of a slice; raises `LedgerDamaged` where there is none."""
        packed = self._database.value("SELECT rows FROM pages WHERE number = ?", (page,))
        return split(self.unpacked(packed))

    def unpacked(self, packed: object) -> bytes:
        """Return a slice unpacked; raises `LedgerDamaged` where it is none."""
        try:
            return unpacked(packed)
        except zlib.error as error:
            raise self._damaged(f"listed rows do not unpack: {error}") from None

    def _damaged(self, why: str) -> LedgerDamaged:
        return LedgerDamaged(self._database.path, why)

    def ensure_sound(self) -> None:
        """Raise `LedgerDamaged` unless each image has its row; unpacks all slices."""
        rows = self._database.execute(
            "SELECT rows, least, most FROM (SELECT page, min(row) AS least, max(row) AS most "
            "FROM images WHERE page IS NOT NULL GROUP BY page) "
            "LEFT JOIN pages ON pages.number = page"
        )
        for packed, least, most in rows:
            lines = split(self.unpacked(packed))
            if not (type(least) is type(most) is int and 0 <= least <= most < len(lines)):
                raise self._damaged("an image has no listed row")
            for line in lines:
                self._fields(line)

    def slices(self) -> Iterator[tuple[int, bytes]]:
        """Yield all slices by their numbers, packed."""
        return iter(self._database.execute("SELECT number, rows FROM pages ORDER BY number"))

    def metadata(self, page: int, row: int) -> dict[str, Any]:
        """Return the fields of a row; raises `LedgerDamaged` where it has none."""
        return self._fields(self.line(page, row))

    def _fields(self, line: bytes) -> dict[str, Any]:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise self._damaged("a listed row is no JSON object")
        return fields


def split(rows: bytes) -> list[bytes]:
    """Return the rows of a slice; of a stranger's, not more than one can have and the rest."""
    return rows.split(b"\n", SLICE_ROWS)


def unpacked(packed: object) -> bytes:
    """Return a slice unpacked; raises `zlib.error` for what is none, or more than one can have."""
    if not isinstance(packed, bytes):
        raise zlib.error("a slice that is not there")
    unpacking = zlib.decompressobj()
    rows = unpacking.decompress(packed, SLICE_BYTES)
    if not unpacking.eof:
        raise zlib.error("a slice that is cut off, or has more than any")
    return rows
