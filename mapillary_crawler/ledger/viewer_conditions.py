"""What the viewer wants, as SQL asks it of its index."""

from __future__ import annotations

from typing import Any

from mapillary_crawler.ledger.viewer_index import CELL, CELLS_AROUND
from mapillary_crawler.ledger.viewer_records import Box, Wanted

#: Rows of cells that are asked for one by one.
_CELL_ROWS = 64
#: A day behind all others.
_LAST_DAY = 1 << 20


def conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    """Return what SQL asks of a row, of `images`, `places` or `lines`, but for the box."""
    fitting, values = ["TRUE"], list[Any]()
    if wanted.days:
        first, last = wanted.days
        fitting.append("day BETWEEN ? AND ?")
        values += [0 if first is None else first, _LAST_DAY if last is None else last]
    if wanted.sequence is not None:
        fitting.append("sequence IN (SELECT number FROM sequences WHERE name = ?)")
        values.append(wanted.sequence)
    if wanted.camera is not None:
        fitting.append("camera IN (SELECT number FROM cameras WHERE name = ?)")
        values.append(wanted.camera)
    if wanted.pano is not None:
        fitting.append("pano = ?")
        values.append(int(wanted.pano))
    elif wanted.camera is not None:  # so that the index is of use
        fitting.append("pano IN (0, 1)")
    return " AND ".join(fitting), values


def span(wanted: Wanted) -> tuple[str, list[Any]]:
    """Return what SQL asks of numbers where days are wanted: they follow each other."""
    if not wanted.days:
        return "", []
    fitting, values = conditions(Wanted(days=wanted.days))
    of_days = f"FROM days WHERE {fitting})"
    return (
        f"AND number BETWEEN (SELECT min(first) {of_days} AND (SELECT max(last) {of_days}",
        values * 2,
    )


def inside(box: Box) -> tuple[str, list[Any]]:
    """Return what SQL asks of a place for it to be in a box."""
    across = "longitude >= ? OR longitude <= ?"
    if box.west <= box.east:
        across = "longitude BETWEEN ? AND ?"
    return f"({across}) AND latitude BETWEEN ? AND ?", [box.west, box.east, box.south, box.north]


def cells(box: Box) -> str:
    """Return the first and last cells of the rows of cells that a box touches, as SQL."""
    south, north = (int((latitude + 90) / CELL) for latitude in (box.south, box.north))
    west, east = (int((longitude + 180) / CELL) for longitude in (box.west, box.east))
    if box.west > box.east or north - south >= _CELL_ROWS:
        return f"({south * CELLS_AROUND}, {(north + 1) * CELLS_AROUND - 1})"
    return ",".join(
        f"({row * CELLS_AROUND + west}, {row * CELLS_AROUND + east})"
        for row in range(south, north + 1)
    )
