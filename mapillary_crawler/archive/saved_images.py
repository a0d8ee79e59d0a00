"""What a ledger says of saved images, wherever it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from mapillary_crawler.collection.names import UNKNOWN_DATE
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.graph.rows import fields_in
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, SavedImage
from mapillary_crawler.ledger.trouble import LedgerDamaged

#: What `sequence_part` makes of any sequence.
_SEQUENCE = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,199})?")
_NOTHING = type(None)
#: Of what the columns of saved images are, where nothing is strange.
_PLAIN: dict[str, set[type]] = {
    "image_id": {str}, "day": {str}, "sequence": {str}, "tar": {str, _NOTHING},
    "extension": {str, _NOTHING}, "size": {int, _NOTHING}, "offset": {int, _NOTHING},
}  # fmt: skip
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def check(image: ImageRecord | SavedImage) -> None:
    """Raise `Refused` for an image that no ledger of this program has.

    SQLite keeps anything in any column, and a ledger may come from elsewhere.
    """
    if not (
        isinstance(image.image_id, str)
        and isinstance(image.day, str)
        and _is_sequence(image.sequence)
        and isinstance(image.tar or "", str)
        and isinstance(image.extension or "", str)
        and isinstance(image.size or 0, int)
        and isinstance(image.offset or 0, int)
    ):
        raise Refused(Outcome.ERROR, "the ledger is damaged: an image is no image")


def check_all(images: Sequence[SavedImage]) -> None:
    """Do the same for many, of which a look at each column nearly always tells enough."""
    columns = dict(zip(SavedImage._fields, zip(*images, strict=True), strict=True))
    is_plain = all({*map(type, columns[name])} <= kinds for name, kinds in _PLAIN.items())
    if not (is_plain and all(map(_is_sequence, {*columns["sequence"]}))):
        for image in images:
            check(image)


def check_taken(day: object, sequence: object) -> None:
    """Do the same for one of which less is known, and whose day is looked at."""
    if not (_is_day(day) and _is_sequence(sequence)):
        raise Refused(Outcome.ERROR, "the ledger is damaged: an image is no image")


@lru_cache(maxsize=1024)
def _is_day(day: object) -> bool:
    """Say whether it is a day, as folders and tars are called by it."""
    if not isinstance(day, str) or not _DAY.fullmatch(day):
        return day == UNKNOWN_DATE
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def _is_sequence(sequence: object) -> bool:
    """Say whether it is a sequence's path part: one that leads nowhere else, in zips neither."""
    return isinstance(sequence, str) and _SEQUENCE.fullmatch(sequence) is not None


def checked(images: Iterable[ImageRecord]) -> Iterator[ImageRecord]:
    """Yield images; raises `Refused` as `check`."""
    for image in images:
        check(image)
        yield image


def fields_of(ledger: Ledger, image: ImageRecord) -> dict[str, Any]:
    """Return an image's fields as listed; none where a ledger from elsewhere has no such row."""
    try:
        return fields_in(ledger.images.line(image))
    except (TypeError, LedgerDamaged):
        return {}
