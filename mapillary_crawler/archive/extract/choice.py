"""Pure: which images are wanted, by day, sequence, place and id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mapillary_crawler.collection.arguments import validate
from mapillary_crawler.collection.names import UNKNOWN_DATE, Selection, capture_time
from mapillary_crawler.collection.outcome import ArgumentRefused

if TYPE_CHECKING:
    from mapillary_crawler.ledger.records import ImageRecord

_DAY = re.compile(rf"[0-9]{{4}}(?:-[0-9]{{2}}(?:-[0-9]{{2}})?)?|{UNKNOWN_DATE}")

_ALL = Selection()


@dataclass(frozen=True, slots=True)
class Choice:
    """What an image must fit to be wanted, all of it; empty means all images.

    `days` are beginnings of days: 2024, 2024-05, 2024-05-31, or unknown-date. `selection` is a
    box and sequences. `ids` are those of images, None for all.
    """

    days: tuple[str, ...] = ()
    selection: Selection = _ALL
    ids: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.days or self.selection) or self.ids is not None

    def holds(self, image: ImageRecord, fields: Callable[[], Mapping[str, Any]]) -> bool:
        """Say whether an image is wanted; its fields are asked for only where they matter."""
        if self.ids is not None and image.image_id not in self.ids:
            return False
        if self.days and not image.day.startswith(self.days):
            return False
        return not self.selection or self.selection.holds(
            dict(fields()), capture_time(image.captured_at)
        )


def read_choice(
    days: Iterable[str],
    sequences: Iterable[str],
    bbox: str | None,
    ids: frozenset[str] | None = None,
) -> Choice:
    """Return what is wanted, as words of a command line say it; raises `ArgumentRefused`."""
    wanted = tuple(part.strip() for word in days for part in word.split(","))
    for day in wanted:
        if not _DAY.fullmatch(day):
            raise ArgumentRefused(
                f"--day {day!r} is no day; write YYYY-MM-DD, a month as YYYY-MM, a year as YYYY, "
                f"or {UNKNOWN_DATE}"
            )
    given = {"username": "-", "sequence": ",".join(sequences), "bbox": bbox}
    selection = validate({name: value for name, value in given.items() if value}).collection
    return Choice(wanted, selection.selection, ids)
