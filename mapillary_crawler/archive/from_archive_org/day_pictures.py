"""Pictures for the page of a collection whose tars are on archive.org alone.

A finished item has a page, out of which its pictures come back. Where there is none yet, as of an
upload that did not come to its end, an image of some days is read there, and reduced.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import partial

from mapillary_crawler.archive.extract.sources import Unreadable, place
from mapillary_crawler.archive.finish.day_folder import MemberChanged
from mapillary_crawler.archive.finish.samples import Sample, candidates_of, first_sample
from mapillary_crawler.archive.finish.views import chosen_days
from mapillary_crawler.archive.from_archive_org.found_item import ItemSource
from mapillary_crawler.archive.internet_archive.trouble import Denied, Trouble
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, Piece, PieceState
from mapillary_crawler.terminal.work_display import WorkDisplay


def take_day_pictures(ledger: Ledger, source: ItemSource, shown: WorkDisplay) -> list[str]:
    """Take samples of as many days as a page shows, evenly spaced; return lines for people.

    Nothing is asked where a page has given its pictures, and where there is to be none. A picture
    that cannot be had is no reason not to adopt. Raises `RunStopped`.
    """
    if ledger.facts.get("page") is False or ledger.facts.get("page_samples") is not None:
        return []
    days = {day: tars for day in ledger.days.all() if (tars := _tars_there(ledger, day))}
    chosen = chosen_days(list(days), [])
    shown.begin("reading a picture of", len(chosen), 0)
    with Decoder() as decoder:
        for done, day in enumerate(chosen):
            shown.begin_file(day, 0)
            try:
                sample = _sample(ledger, source, day, days[day], decoder)
            except Trouble as error:
                return [f"its page will lack pictures of {len(chosen) - done:,} days: {error}"]
            if sample:
                sample.keep(ledger)
            shown.end_file()
    return []


def _tars_there(ledger: Ledger, day: str) -> list[Piece]:
    """Return the tars of a day that are in an item, and of which it is known what they hold."""
    return [
        piece
        for piece in ledger.pieces.of_day(day)
        if piece.state is PieceState.REMOVED and piece.images
    ]


def _sample(
    ledger: Ledger, source: ItemSource, day: str, tars: list[Piece], decoder: Decoder
) -> Sample | None:
    for piece in tars:
        read = partial(_jpeg, source, piece, decoder)
        with suppress(Denied):
            if sample := first_sample(day, candidates_of(piece, ledger), read):
                return sample
    return None


def _jpeg(source: ItemSource, piece: Piece, decoder: Decoder, image: ImageRecord) -> bytes:
    """Return an image, proven by its checksum; raises `MemberChanged`, `Trouble`, `NO_JPEG`."""
    assert piece.item is not None
    try:
        body = source.read(piece.item, piece.name, *place(image))
    except Unreadable:
        raise MemberChanged from None
    if hashlib.sha256(body).digest() != image.sha256_stored:
        raise MemberChanged
    return decoder(body) if image.extension == "jxl" else body
