"""Packs the outlines of land: `python -m tools.pack_land land-50m.json`, in the project's folder.

The file is of the npm package world-atlas 2.0.2 (ISC; the data is Natural Earth's at 1:50 million,
in the public domain): `npm pack world-atlas@2.0.2`. What comes out is land.bin: for each ring how
many places it has, then these, in hundredths of a degree, as archive/page/packing.py packs them.
A ring that crosses the 180th meridian goes on beyond it, to 190 degrees, say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.page.packing import Packing

#: Places a degree. The outlines are true to some kilometres.
_GRID = 100
_HALF, _WHOLE = 180 * _GRID, 360 * _GRID
#: Below the edge of a map in Web Mercator, on which the ring around a pole is closed.
_EDGE = 8506
_TARGET = Path("mapillary_crawler/archive/page/land.bin")


def rings(topology: dict[str, Any]) -> Iterator[list[tuple[int, int]]]:
    """Yield the rings of all polygons of a TopoJSON file, on the grid."""
    arcs = [_arc(topology["transform"], arc) for arc in topology["arcs"]]
    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"]:
            for numbers in polygon:
                yield _unwrapped(_ring(arcs, numbers))


def _arc(transform: dict[str, Any], arc: list[list[int]]) -> list[tuple[int, int]]:
    (width, height), (west, south) = transform["scale"], transform["translate"]
    x = y = 0
    places = []
    for step_x, step_y in arc:
        x, y = x + step_x, y + step_y
        places.append((round((x * width + west) * _GRID), round((y * height + south) * _GRID)))
    return places


def _ring(arcs: list[list[tuple[int, int]]], numbers: list[int]) -> list[tuple[int, int]]:
    """Return the places of a ring, no two the same one after another; ~n is arc n backwards."""
    places: list[tuple[int, int]] = []
    for number in numbers:
        for place in arcs[number] if number >= 0 else arcs[~number][::-1]:
            if not places or places[-1] != place:
                places.append(place)
    return places[:-1]


def _unwrapped(ring: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return a ring without leaps from one edge of the map to the other."""
    places: list[tuple[int, int]] = []
    turns, before = 0, ring[0][0]
    for x, y in [*ring, ring[0]]:
        if abs(x - before) > _HALF:
            turns += _WHOLE if x < before else -_WHOLE
        before = x
        places.append((x + turns, y))
    if turns:  # around a pole: along the edge of the map back to where it began
        edge = _EDGE if ring[0][1] > 0 else -_EDGE
        return [*places, (places[-1][0], edge), (places[0][0], edge)]
    return places[:-1]


def main() -> None:
    """Write the file."""
    packing = Packing()
    for ring in rings(json.loads(Path(sys.argv[1]).read_text())):
        if len(ring) > 2 and any(abs(y) < _EDGE for _, y in ring):
            packing.add(len(ring))
            packing.add_places(ring)
    _TARGET.write_bytes(packing.packed())


if __name__ == "__main__":
    main()
