"""What part of a panorama a file is, as its own XMP says.

Pure (Google: Photo Sphere XMP metadata).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mapillary_crawler.image import xmp_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree  # type: ignore[import-untyped]

_GPANO = xmp_names.name("GPano:")
_PIXELS = re.compile(r"\s*([0-9]{1,6})(?:\.0*)?\s*")
_SIZES = (
    *("CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels"),
    *("FullPanoWidthPixels", "FullPanoHeightPixels"),
    *("CroppedAreaLeftPixels", "CroppedAreaTopPixels"),
)
_PROJECTIONS = frozenset({"equirectangular", "cylindrical"})


class Area(NamedTuple):
    """What part of a panorama the pixels of a file are; sizes and place in pixels of the whole."""

    full_width: int
    full_height: int
    left: int = 0
    top: int = 0
    projection: str = "equirectangular"
    viewer: str = "True"


def own_area(theirs: Sequence[etree._Element], size: tuple[int, int]) -> Area | None:
    """Return the part of a panorama that a file of `size` pixels is, by its own descriptions.

    None if they say nothing, not all, or something of pixels of another size. An equirectangular
    picture twice as wide as high, of which nothing is said but that, is whole.
    """
    values = _values(theirs)
    projection = values.get("ProjectionType", "equirectangular").strip()
    if projection not in _PROJECTIONS:
        return None
    viewer = str(values.get("UsePanoramaViewer", "").strip().lower() != "false")
    sizes = [values[name] for name in _SIZES if name in values]
    if not sizes:
        whole = "ProjectionType" in values and size[0] == 2 * size[1]
        return Area(*size, projection=projection, viewer=viewer) if whole else None
    numbers = [int(found[1]) for value in sizes if (found := _PIXELS.fullmatch(value))]
    if len(numbers) < len(_SIZES) or tuple(numbers[:2]) != size:
        return None
    width, height, full_width, full_height, left, top = numbers
    if left + width > full_width or top + height > full_height:
        return None
    return Area(full_width, full_height, left, top, projection, viewer)


def _values(theirs: Sequence[etree._Element]) -> dict[str, str]:
    """Return the properties of a panorama by their local names; the last of a name counts."""
    pairs = (
        pair
        for description in theirs
        for pair in (*description.items(), *((child.tag, child.text) for child in description))
    )
    return {
        name.removeprefix(_GPANO): text or "" for name, text in pairs if name.startswith(_GPANO)
    }
