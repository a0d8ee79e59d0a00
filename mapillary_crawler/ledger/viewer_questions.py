"""What the viewer asks of its index of a collection; each answer is short, however many images."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapillary_crawler.ledger.records import ImageRecord, State
from mapillary_crawler.ledger.viewer_conditions import cells, conditions, inside, span
from mapillary_crawler.ledger.viewer_index import LEVELS, is_index
from mapillary_crawler.ledger.viewer_records import UNDATED, Box, Line, ShownImage, Tar, Wanted

#: Images of a day or a sequence that are looked at one by one.
_FEW = 50_000
#: Lines that are looked at for one map, the longest first.
_LINES = 20_000
#: Records read at once, and bytes of a page unpacked: of 200 rows with some KB each.
_RECORDS, _PAGE_BYTES = 500, 64 << 20


class NoIndex(Exception):
    """There is no index, or it is no index of this version, or somebody else's."""


class ViewerIndex:
    """Reads an index, in any thread; raises `NoIndex`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        _require_own(path)
        try:
            with self._connection() as connection:
                _require_tables(connection)
                facts = connection.execute("SELECT name, value FROM facts").fetchall()
                self.facts: dict[str, Any] = {name: json.loads(value) for name, value in facts}
        except (sqlite3.Error, ValueError, TypeError, RecursionError, NoIndex):
            self.close()
            raise NoIndex from None

    def close(self) -> None:
        """Close the connections that nobody uses, and the others once they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro&immutable=1",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.executescript(
                "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -32768"
            )
        try:
            yield connection
        finally:
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
            if self._closed:
                connection.close()

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._connection() as connection:
            return connection.execute(statement, values).fetchall()

    def cameras(self, most: int) -> list[tuple[str, int]]:
        """Return the named cameras and their images, the most used first."""
        return self._all(
            "SELECT name, images FROM cameras WHERE name <> '' ORDER BY images DESC, name LIMIT ?",
            [most],
        )

    def tars(self) -> list[Tar]:
        """Return the tars that images are in."""
        rows = self._all("SELECT name, item, removed, images, end FROM tars WHERE images > 0")
        return [Tar(name, item, bool(removed), *rest) for name, item, removed, *rest in rows]

    def days(self) -> list[tuple[int, int, int]]:
        """Return days, the undated last, with their images and the number of the first."""
        return self._all(
            f"SELECT day, images, first FROM days ORDER BY day = {UNDATED}, day",
        )

    def image(self, number: int) -> ShownImage | None:
        """Return an image, None where there is none of that number."""
        found = self.images([number])
        return found[0] if found else None

    def images(self, numbers: Sequence[int]) -> list[ShownImage]:
        """Return images in their order; those that are not there are left out."""
        marks = ",".join("?" * len(numbers))
        rows = self._all(
            "SELECT images.number, id, state, captured_at, folder, part, extension, sha256, size, "
            "tars.name, offset, page, row, day, sequences.name, cameras.name, pano, longitude, "
            "latitude, compass, width, height, item, coalesce(removed, 0) FROM images "
            "JOIN sequences ON sequences.number = sequence "
            "JOIN cameras ON cameras.number = camera LEFT JOIN tars ON tars.number = tar "
            f"WHERE images.number IN ({marks}) ORDER BY images.number",
            numbers,
        )
        return [_shown(row) for row in rows]

    def line(self, image: ShownImage) -> bytes:
        """Return an image's fields as listed, JSON; empty where there are none."""
        record = image.record
        rows = self._all("SELECT rows FROM pages WHERE number = ?", [record.page])
        with suppress(zlib.error, IndexError, TypeError):
            lines = zlib.decompressobj().decompress(rows[0][0], _PAGE_BYTES).split(b"\n")
            return lines[record.row] if record.row >= 0 else b""
        return b""

    def beside(self, image: ShownImage) -> tuple[int | None, int | None, int, int]:
        """Return the numbers of the images before and behind one in its sequence.

        And its place in it, from 1 on, and how many images the sequence has.
        """
        of_one = "FROM images WHERE sequence = (SELECT sequence FROM images WHERE number = ?1)"
        ((before, behind, place, count),) = self._all(
            f"SELECT (SELECT max(number) {of_one} AND number < ?1), "
            f"(SELECT min(number) {of_one} AND number > ?1), "
            f"(SELECT count(*) {of_one} AND number <= ?1), (SELECT count(*) {of_one})",
            [image.record.number],
        )
        return before, behind, place, count

    def listed(
        self, wanted: Wanted, offset: int, limit: int
    ) -> tuple[int, list[tuple[int, str, int | None]]]:
        """Return how many images are wanted, and some: numbers, ids, capture times."""
        if self._is_everywhere(wanted.box):
            wanted = replace(wanted, box=None)
        if wanted == Wanted():
            total = self.facts["images"]
            numbers: Sequence[int] = range(offset + 1, min(offset + limit, total) + 1)
        else:
            found = self.numbers(wanted)
            total, numbers = len(found), found[offset : offset + limit]
        marks = ",".join("?" * len(numbers))
        rows = self._all(
            f"SELECT number, id, captured_at FROM images WHERE number IN ({marks}) ORDER BY number",
            numbers,
        )
        return total, rows

    def _is_everywhere(self, box: Box | None) -> bool:
        """Say whether all images lie in a box, without looking at one."""
        bounds = self.facts["bbox"]
        if box is None or bounds is None or self.facts["placed"] < self.facts["images"]:
            return False
        west, south, east, north = bounds
        across = box.west <= west and east <= box.east
        return bool(across and box.south <= south and north <= box.north)

    def numbers(self, wanted: Wanted) -> array[int]:
        """Return the numbers of the images that are wanted, in their order."""
        fitting, values = conditions(wanted)
        if wanted.box is None:
            between, of_span = span(wanted)
            rows = f"SELECT number FROM images WHERE {fitting} {between} ORDER BY number"
            values += of_span
        else:
            levels = ",".join(map(str, range(LEVELS)))
            within, of_box = inside(wanted.box)
            rows = (
                f"WITH cells (first, last) AS (VALUES {cells(wanted.box)}) "
                "SELECT number FROM cells CROSS JOIN places "
                f"ON level IN ({levels}) AND cell BETWEEN first AND last "
                f"WHERE {within} AND {fitting} ORDER BY number"
            )
            values = of_box + values
        with self._connection() as connection:
            return array("q", (number for (number,) in connection.execute(rows, values)))

    def selected(self, numbers: Sequence[int]) -> Iterator[ShownImage]:
        """Yield images by their numbers, some at a time."""
        for first in range(0, len(numbers), _RECORDS):
            yield from self.images(numbers[first : first + _RECORDS])

    def near(self, wanted: Wanted, limit: int) -> tuple[list[tuple[Any, ...]], bool]:
        """Return the wanted images in a box, thinned evenly, and whether some are left out.

        Each is number, longitude, latitude, compass, pano.
        """
        box = wanted.box or Box(-180, -90, 180, 90)
        within, of_box = inside(box)
        fitting, values = conditions(wanted)
        columns = "number, longitude, latitude, compass, pano"
        if self._are_few(wanted):
            between, of_span = span(wanted)
            rows = self._all(
                f"SELECT {columns} FROM images WHERE longitude IS NOT NULL AND {within} "
                f"AND {fitting} {between} ORDER BY number",
                [*of_box, *values, *of_span],
            )
            step = -(-len(rows) // limit)
            return (rows[::step], step > 1) if rows else ([], False)
        query = (
            f"WITH cells (first, last) AS (VALUES {cells(box)}) "
            f"SELECT {columns} FROM cells CROSS JOIN places "
            "ON level = ? AND cell BETWEEN first AND last "
            f"WHERE {within} AND {fitting} LIMIT ?"
        )
        found: list[Any] = []
        for level in reversed(range(LEVELS)):
            room = limit - len(found)
            more = self._all(query, [level, *of_box, *values, room + 1])
            if len(more) > room:
                # What comes first lies together, so all of a level or none; but never nothing.
                return sorted(found or more[:limit]), True
            found += more
        return sorted(found), False

    def _are_few(self, wanted: Wanted) -> bool:
        """Say whether a filter leaves so few images that all of them can be looked at."""
        if wanted.pano and self.facts["panoramas"] <= _FEW:
            return True
        if wanted.days:
            fitting, values = conditions(Wanted(days=wanted.days))
            between = f"SELECT coalesce(max(last) - min(first), 0) FROM days WHERE {fitting}"
            if self._all(between, values)[0][0] <= _FEW:
                return True
        of_name = "SELECT coalesce(sum(images), 0) FROM {} WHERE name = ?"
        named = (("sequences", wanted.sequence), ("cameras", wanted.camera))
        return any(
            self._all(of_name.format(table), [name])[0][0] <= _FEW
            for table, name in named
            if name is not None
        )

    def lines(self, wanted: Wanted, window: Box) -> tuple[list[Line], bool]:
        """Return the lines that touch a window of the world's map, those of most images first.

        The window's `north` is above its `south`, so smaller. And whether some are left out.
        """
        across = (
            "east >= ? OR west <= ?" if window.west > window.east else "east >= ? AND west <= ?"
        )
        fitting, values = conditions(wanted)
        rows = self._all(
            "SELECT number, images, west, north, east, south FROM lines "
            f"WHERE ({across}) AND south >= ? AND north <= ? AND {fitting} "
            "ORDER BY images DESC, number LIMIT ?",
            [window.west, window.east, window.north, window.south, *values, _LINES + 1],
        )
        return [Line._make(row) for row in rows[:_LINES]], len(rows) > _LINES

    def shapes(self, lines: Sequence[int], detail: int) -> list[tuple[str, int, bytes]]:
        """Return sequence, images and packed points of some lines in a detail."""
        marks = ",".join("?" * len(lines))
        return self._all(
            "SELECT sequences.name, lines.images, packed FROM shapes "
            "JOIN lines ON lines.number = line JOIN sequences ON sequences.number = sequence "
            f"WHERE detail = ? AND line IN ({marks}) ORDER BY line",
            [detail, *lines],
        )


def _require_own(path: Path) -> None:
    """Raise `NoIndex` for what is no file of the user's own."""
    try:
        status = path.lstat()
    except OSError:
        raise NoIndex from None
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise NoIndex


def _require_tables(connection: sqlite3.Connection) -> None:
    if not is_index(connection):
        raise NoIndex


def _shown(row: Sequence[Any]) -> ShownImage:
    number, image_id, state, *of_record = row[:13]
    captured_at, folder, part, extension, sha256, size, tar, offset, page, line = of_record
    day, sequence, camera, pano, longitude, latitude, compass, width, height = row[13:22]
    item, removed = row[22:]
    record = ImageRecord(
        number, image_id, State(state), captured_at, folder, part, extension, None, sha256, size,
        tar, offset, page, line,
    )  # fmt: skip
    return ShownImage(
        record, day, sequence, camera, bool(pano), longitude, latitude, compass, width, height,
        item, bool(removed),
    )  # fmt: skip
