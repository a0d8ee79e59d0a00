"""The viewer's index of a collection: its tables, and how they are filled.

It lies in the user's cache, never in a collection, and is made of a ledger once: what a map asks
for is laid out for the map. Images have numbers in the order of the manifests, from 1 on, without
a gap. `viewer_questions.py` asks.

Images that have a place lie in cells of a grid, and are thinned beforehand: each level has twice as
many as the one above it, evenly all along the order, so that a map that shows many reads few.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mapillary_crawler.ledger.viewer_records import UNDATED, IndexedImage, IndexedLine, PlacedImage

#: Levels of thinned images: the highest has one of `2 ** (LEVELS - 1)`, the lowest half of all.
LEVELS = 13
#: Degrees of a cell's side, and cells around the earth.
CELL, CELLS_AROUND = 0.02, 18_001

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sequences (
    number INTEGER PRIMARY KEY, part TEXT NOT NULL, name TEXT NOT NULL, images INTEGER NOT NULL
);
CREATE TABLE cameras (number INTEGER PRIMARY KEY, name TEXT NOT NULL, images INTEGER NOT NULL);
CREATE TABLE tars (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, item TEXT, removed INTEGER NOT NULL,
    images INTEGER NOT NULL, end INTEGER NOT NULL
);
CREATE TABLE pages (number INTEGER PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE images (
    number INTEGER PRIMARY KEY,
    day INTEGER NOT NULL, sequence INTEGER NOT NULL, camera INTEGER NOT NULL, pano INTEGER NOT NULL,
    longitude REAL, latitude REAL, compass REAL,
    id TEXT NOT NULL, captured_at INTEGER, width INTEGER, height INTEGER,
    state INTEGER NOT NULL, folder TEXT NOT NULL, extension TEXT, sha256 BLOB, size INTEGER,
    tar INTEGER, offset INTEGER, page INTEGER, row INTEGER
);
CREATE TABLE days (
    day INTEGER PRIMARY KEY, images INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
);
CREATE TABLE places (
    level INTEGER NOT NULL, cell INTEGER NOT NULL, number INTEGER NOT NULL,
    longitude REAL NOT NULL, latitude REAL NOT NULL, compass REAL,
    day INTEGER NOT NULL, sequence INTEGER NOT NULL, camera INTEGER NOT NULL, pano INTEGER NOT NULL,
    PRIMARY KEY (level, cell, number)
) WITHOUT ROWID;
CREATE TABLE lines (
    number INTEGER PRIMARY KEY, images INTEGER NOT NULL,
    west REAL NOT NULL, north REAL NOT NULL, east REAL NOT NULL, south REAL NOT NULL,
    day INTEGER NOT NULL, sequence INTEGER NOT NULL, camera INTEGER NOT NULL, pano INTEGER NOT NULL
);
CREATE TABLE shapes (
    detail INTEGER NOT NULL, line INTEGER NOT NULL, points INTEGER NOT NULL, packed BLOB NOT NULL,
    PRIMARY KEY (detail, line)
) WITHOUT ROWID;
"""
#: Made once the images are there.
_INDEXES = """
CREATE INDEX images_of_sequence ON images (sequence, number);
CREATE INDEX images_of_camera ON images (pano, camera, number);
"""
#: Level by number: multiples of the golden ratio lie evenly in any stretch of them, so the images
#: whose multiple is small do, too, whatever alternates along the order.
_LEVEL = " + ".join(
    f"((number * 2654435769 & 4294967295) < {1 << 32 - level})" for level in range(1, LEVELS)
)
_CELL = (
    f"CAST((latitude + 90) / {CELL} AS INTEGER) * {CELLS_AROUND} "
    f"+ CAST((longitude + 180) / {CELL} AS INTEGER)"
)
_SAME = "day, sequence, camera, pano"


class IndexWriter:
    """Fills a new index, as a context; the file has its name once the context ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        self._unfinished.unlink(missing_ok=True)
        self._unfinished.open("xb").close()  # whose error names it
        self._connection = sqlite3.connect(self._unfinished, isolation_level=None)
        self._images = self._lines = 0
        try:
            self._connection.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
                f"PRAGMA cache_size = -65536; {_TABLES} BEGIN;"
            )
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
            self._connection.close()
            if kind is None:
                with self._unfinished.open("rb") as file:
                    os.fsync(file.fileno())
                self._unfinished.replace(self._path)
        finally:
            self._connection.close()
            self._unfinished.unlink(missing_ok=True)

    def add_pages(self, pages: Iterable[tuple[int, bytes]]) -> None:
        """Take over the rows that the service listed, packed as the ledger has them."""
        self._connection.executemany("INSERT INTO pages VALUES (?, ?)", pages)

    def add_images(self, images: Sequence[IndexedImage]) -> None:
        """Add images, the next in the order."""
        marks = ",".join("?" * (len(IndexedImage._fields) + 1))
        self._connection.executemany(
            f"INSERT INTO images VALUES ({marks})",
            ((number, *image) for number, image in enumerate(images, self._images + 1)),
        )
        self._images += len(images)

    def arrange(self) -> None:
        """Lay out what all images together say, once they are all there."""
        for statement in _INDEXES.split(";"):
            self._connection.execute(statement)
        self._connection.execute(
            "INSERT INTO days SELECT day, count(*), min(number), max(number) FROM images "
            "GROUP BY day ORDER BY day"
        )
        self._connection.execute(
            f"INSERT INTO places SELECT {_LEVEL} AS level, {_CELL} AS cell, number, "
            f"longitude, latitude, compass, {_SAME} FROM images "
            "WHERE longitude IS NOT NULL ORDER BY level, cell, number"
        )

    def placed(self) -> Iterator[PlacedImage]:
        """Yield the images that have a place, by sequence and, within, in order."""
        rows = self._connection.execute(
            f"SELECT longitude, latitude, {_SAME} FROM images "
            "INDEXED BY images_of_sequence WHERE longitude IS NOT NULL ORDER BY sequence, number"
        )
        return map(PlacedImage._make, rows)

    def add_line(self, line: IndexedLine, shapes: Iterable[tuple[int, bytes]]) -> None:
        """Add a line with its points in each detail, how many and packed, the coarsest first."""
        self._lines += 1
        self._connection.execute(
            f"INSERT INTO lines VALUES ({','.join('?' * (len(line) + 1))})", (self._lines, *line)
        )
        self._connection.executemany(
            "INSERT INTO shapes VALUES (?, ?, ?, ?)",
            ((detail, self._lines, *shape) for detail, shape in enumerate(shapes)),
        )

    def add_names(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Fill `sequences`, `cameras` or `tars`, all of it, from number 0 on."""
        for number, row in enumerate(rows):
            marks = ",".join("?" * (len(row) + 1))
            self._connection.execute(f"INSERT INTO {table} VALUES ({marks})", (number, *row))

    def months(self) -> list[tuple[str, int]]:
        """Return months as YYYY-MM with their images."""
        return self._connection.execute(
            "SELECT strftime('%Y-%m', day * 86400, 'unixepoch') AS month, sum(images) "
            f"FROM days WHERE day <> {UNDATED} GROUP BY month ORDER BY month"
        ).fetchall()

    def extent(self) -> dict[str, Any]:
        """Return first and last capture time in ms, the box, and what is counted."""
        first, last, west, south, east, north, placed, pano, images, size = (
            self._connection.execute(
                "SELECT min(captured_at), max(captured_at), min(longitude), min(latitude), "
                "max(longitude), max(latitude), count(longitude), coalesce(sum(pano), 0), "
                "count(*), coalesce(sum(size), 0) FROM images"
            ).fetchone()
        )
        (undated,) = self._connection.execute(
            f"SELECT coalesce(sum(images), 0) FROM days WHERE day = {UNDATED}"
        ).fetchone()
        return {
            "first": first,
            "last": last,
            "bbox": None if west is None else [west, south, east, north],
            "placed": placed,
            "panoramas": pano,
            "images": images,
            "bytes": size,
            "undated": undated,
        }

    def set_facts(self, **facts: Any) -> None:
        """Set what is said of the whole."""
        self._connection.executemany(
            "INSERT INTO facts VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )


def is_index(connection: sqlite3.Connection) -> bool:
    """Say whether a database has these tables, as this version makes them, and nothing else."""
    with closing(sqlite3.connect(":memory:")) as ours:
        ours.executescript(_TABLES + _INDEXES)
        schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
        return connection.execute(schema).fetchall() == ours.execute(schema).fetchall()
