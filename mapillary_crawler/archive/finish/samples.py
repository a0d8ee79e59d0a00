"""A picture of a day for those who look at the collection, made while its images are here."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mapillary_crawler.archive.finish.day_folder import MemberChanged
from mapillary_crawler.archive.finish.pictures import NO_JPEG, is_reduced, reduced
from mapillary_crawler.archive.finish.stored import stored_bytes
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.page.reading import PAGE_BYTES, pictures
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import PAGE
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.images import manifest_place
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import HERE, ImageRecord, Piece, State
from mapillary_crawler.ledger.thread import LedgerHere

#: Images tried before a part is taken for one that has none to show.
_CANDIDATES = 20


class Sample(NamedTuple):
    """The picture of a day, and the number of the image that it is made of."""

    day: str
    number: int
    jpeg: bytes

    def keep(self, ledger: Ledger) -> None:
        """Bring it into the ledger."""
        ledger.samples.add(*self)


def sample_of(work: Work, day: str, records: Iterable[ImageRecord]) -> Sample | None:
    """Return a day's sample, made of the first of its loose images that can be reduced.

    None where none can be, and where the day has one already: that of its first part stays.
    """
    if work.ledger.wait_for(lambda ledger: ledger.samples.has(day)):
        return None
    return first_sample(day, _candidates(records), partial(_jpeg, work))


def take_samples(work: Work) -> None:
    """Take samples out of what is sealed, of the days that have none, before the first page.

    Of those that a version has sealed that took none, and of all in a ledger made anew.
    """
    if work.ledger.wait_for(lambda ledger: ledger.facts.get("page_samples")) is not None:
        return
    for day in work.ledger.wait_for(lambda ledger: ledger.days.all()):
        sample = _sealed_sample(work, day)
        if sample:
            work.ledger.wait_for(sample.keep)


def _sealed_sample(work: Work, day: str) -> Sample | None:
    """Return a day's sample as `sample_of` would have made it of its parts, one after another."""
    if work.ledger.wait_for(lambda ledger: ledger.samples.has(day)):
        return None
    for piece in work.ledger.wait_for(lambda ledger: ledger.pieces.of_day(day)):
        if piece.state in HERE:
            some = work.ledger.wait_for(partial(candidates_of, piece))
            if sample := first_sample(day, some, partial(_jpeg, work)):
                return sample
    loose = work.ledger.wait_for(partial(_loose, day))
    return first_sample(day, loose, partial(_jpeg, work))


def take_back_samples(ledger: Ledger, folder: Path) -> None:
    """Take the samples that the collection's page has back into a ledger that is made anew."""
    try:
        page = descent.read(folder, PAGE, PAGE_BYTES)
    except OSError:  # there is none, or it is none
        return
    days = [
        found.day
        for found in pictures(page)
        if is_reduced(found.jpeg) and ledger.samples.add_of(*found)
    ]
    ledger.facts.set(page_samples=sorted(set(days)))


def candidates_of(piece: Piece, ledger: Ledger) -> list[ImageRecord]:
    """Return the images of a tar that are tried, in order, for its day's sample."""
    return _candidates(ledger.images.in_piece(piece))


def first_sample(
    day: str, records: Iterable[ImageRecord], jpeg_of: Callable[[ImageRecord], bytes]
) -> Sample | None:
    """Return a sample of the first image that can be reduced; None where none can be.

    `jpeg_of` gives an image, a JPEG XL as its JPEG; it may raise `MemberChanged` and `NO_JPEG`.
    """
    for record in records:
        with suppress(MemberChanged, *NO_JPEG):
            jpeg = reduced(jpeg_of(record))
            if jpeg is not None:
                return Sample(day, record.number, jpeg)
    return None


def _loose(day: str, ledger: Ledger) -> list[ImageRecord]:
    return _candidates(streams.loose(LedgerHere(ledger), day))


def _candidates(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    undamaged = (record for record in records if record.state is State.SAVED)
    return heapq.nsmallest(_CANDIDATES, undamaged, key=manifest_place)


def _jpeg(work: Work, record: ImageRecord) -> bytes:
    work.check_stop()
    body = stored_bytes(work, record)
    return work.jpeg_of(body) if record.extension == "jxl" else body
