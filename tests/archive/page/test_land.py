"""The outlines of land that `tools/pack_land.py` has packed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from mapillary_crawler.archive import page
from mapillary_crawler.archive.page.packing import signed, unpacked


def rings() -> list[list[tuple[float, float]]]:
    """Return the rings, in degrees."""
    numbers = unpacked((Path(page.__file__).parent / "land.bin").read_bytes())
    x = y = 0
    found = []
    for count in numbers:
        ring = []
        for _ in range(count):
            x, y = x + signed(next(numbers)), y + signed(next(numbers))
            ring.append((x / 100, y / 100))
        found.append(ring)
    return found


def test_no_ring_leaps_from_one_edge_of_the_map_to_the_other() -> None:
    """What crosses the 180th meridian goes on, else the fill between its ends would be wrong."""
    found = rings()
    assert len(found) > 1000
    longest = [
        max(abs(one[0] - other[0]) for one, other in pairwise([*ring, ring[0]]))
        for ring in found
        if all(latitude > -85 for _, latitude in ring)  # not those around the pole
    ]
    assert max(longest) < 180
    assert any(longitude < -185 for ring in found for longitude, _ in ring)  # Siberia
