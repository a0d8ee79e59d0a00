"""Pure: what lines want of saved images, column by column: of a million each row is read once."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mapillary_crawler.archive.tracks.usual_row import Told, usual_row
from mapillary_crawler.collection.names import sequence_name
from mapillary_crawler.graph.rows import fields_in
from mapillary_crawler.image import fields as image_fields


@dataclass(slots=True)
class Columns:
    """What rows tell: degrees in WGS 84, NaN where there is no place; whether it is a panorama.

    Cameras and sequences, by their ids, are "" where none is named. `heights` are metres above the
    sea, NaN where that is not known, and empty where nobody asks for them.
    """

    longitudes: array[float]
    latitudes: array[float]
    panoramas: Sequence[bool]
    cameras: Sequence[str]
    sequences: Sequence[str]
    heights: array[float]

    def __len__(self) -> int:
        return len(self.longitudes)

    def characters(self) -> int:
        """Return how many the different names have, of which a stranger's may be long."""
        return sum(map(len, {*self.cameras, *self.sequences}))

    def picked(self, rows: Sequence[int]) -> Columns:
        """Return the columns of some rows, given by their indices, which may raise `IndexError`."""
        return Columns(
            array("d", [self.longitudes[row] for row in rows]),
            array("d", [self.latitudes[row] for row in rows]),
            [self.panoramas[row] for row in rows],
            [self.cameras[row] for row in rows],
            [self.sequences[row] for row in rows],
            array("d", [self.heights[row] for row in rows] if self.heights else ()),
        )


def columns_of(rows: Sequence[bytes], *, heights: bool = False) -> Columns:
    """Return what rows tell, as the ledger has them; to tell heights, too, takes longer."""
    if heights:
        fields = [fields_in(row) for row in rows]
        told = [_told(each) for each in fields]
        metres = [_or_nan(image_fields.altitude(each)) for each in fields]
    else:
        told = [usual_row(row) or _told(fields_in(row)) for row in rows]
        metres = []
    columns: Iterable[Sequence[Any]] = zip(*told, strict=True) if told else ((),) * 5
    longitudes, latitudes, panoramas, cameras, sequences = columns
    return Columns(
        array("d", longitudes),
        array("d", latitudes),
        panoramas,
        cameras,
        sequences,
        array("d", metres),
    )


def _told(fields: Mapping[str, Any]) -> Told:
    position = image_fields.camera_position(fields)
    return (
        _or_nan(position and position.longitude),
        _or_nan(position and position.latitude),
        fields.get("is_pano") is True,
        image_fields.camera(fields),
        sequence_name(fields.get("sequence")),
    )


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number


@dataclass(slots=True)
class Stretch:
    """Images that follow one another: of one sequence, as a part of paths ("" for none), and day.

    At least one; `times` are their capture times in ms since 1970.
    """

    sequence: str
    day: str
    times: Sequence[int | None]
    told: Columns

    def each(self) -> Iterator[Stretch]:
        """Yield a stretch of each image."""
        for at, time in enumerate(self.times):
            yield Stretch(self.sequence, self.day, [time], self.told.picked([at]))

    def placed(self) -> Stretch:
        """Return those images that have a place."""
        longitudes = self.told.longitudes
        if not math.isnan(sum(longitudes)):
            return self
        rows = [at for at, longitude in enumerate(longitudes) if not math.isnan(longitude)]
        times = [self.times[at] for at in rows]
        return Stretch(self.sequence, self.day, times, self.told.picked(rows))
