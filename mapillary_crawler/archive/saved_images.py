"""What a ledger says of saved images, wherever it comes from."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, SavedImage, TakenImage

_Image = TypeVar("_Image", ImageRecord, SavedImage)
_decode = json.JSONDecoder().raw_decode


def check(image: ImageRecord | SavedImage) -> None:
    """Raise `Refused` for an image that no ledger of this program has.

    SQLite keeps anything in any column, and a ledger may come from elsewhere.
    """
    if not (
        isinstance(image.image_id, str)
        and isinstance(image.day, str)
        and isinstance(image.sequence, str)
        and isinstance(image.tar or "", str)
        and isinstance(image.extension or "", str)
        and isinstance(image.size or 0, int)
        and isinstance(image.offset or 0, int)
    ):
        raise Refused(Outcome.ERROR, "the ledger is damaged: an image is no image")


def check_taken(image: TakenImage) -> None:
    """Do the same for one of which less is known."""
    if not (isinstance(image.day, str) and isinstance(image.sequence, str)):
        raise Refused(Outcome.ERROR, "the ledger is damaged: an image is no image")


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
    except (ValueError, TypeError, IndexError, RecursionError, zlib.error):
        return {}
    return fields if isinstance(fields, dict) else {}
