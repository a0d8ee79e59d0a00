"""What a ledger says of saved images, wherever it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

from mapillary_crawler.collection.names import UNKNOWN_DATE
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, SavedImage, TakenImage
from mapillary_crawler.ledger.trouble import LedgerDamaged

_Image = TypeVar("_Image", ImageRecord, SavedImage)
_decode = json.JSONDecoder().raw_decode
#: What `sequence_part` makes of any sequence.
_SEQUENCE = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,199})?")
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


def check_taken(image: TakenImage | ImageRecord) -> None:
    """Do the same for one of which less is known, and whose day is looked at."""
    if not (_is_day(image.day) and _is_sequence(image.sequence)):
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


def checked(images: Iterable[_Image]) -> Iterator[_Image]:
    """Yield images; raises `Refused` as `check`."""
    for image in images:
        check(image)
        yield image


def fields_of(ledger: Ledger, image: ImageRecord | TakenImage) -> dict[str, Any]:
    """Return an image's fields as listed; none where a ledger from elsewhere has no such row.

    The row is JSON without blanks around it, which takes less time than any other.
    """
    try:
        fields, _ = _decode(ledger.images.line(image).decode())
    except (ValueError, TypeError, RecursionError, LedgerDamaged):
        return {}
    return fields if isinstance(fields, dict) else {}
