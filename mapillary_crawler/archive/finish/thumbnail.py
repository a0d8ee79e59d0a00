"""`__ia_thumb.jpg`: the picture that archive.org shows for an item."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from mapillary_crawler.archive.finish.day_folder import MemberChanged
from mapillary_crawler.archive.finish.manifests import record
from mapillary_crawler.archive.finish.pictures import NO_JPEG, shrink
from mapillary_crawler.archive.finish.stored import image_bytes
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.durable import WholeFile
from mapillary_crawler.collection.layout import THUMBNAIL
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.records import ImageRecord, State

#: Images tried before a collection is taken for one that has none to show.
_CANDIDATES = 100


def write_thumbnail(work: Work) -> None:
    """Write the thumbnail of the first saved image that can be read and opened.

    Where no image is here, it is the first day's sample. Where there is neither, a thumbnail of an
    earlier finish stays.
    """
    thumbnail = _first(work) or work.ledger.wait_for(lambda ledger: ledger.samples.first())
    if thumbnail:
        with WholeFile(work.folder / THUMBNAIL, work.scratch) as file:
            file.write(thumbnail)
        record(work, file)


def _first(work: Work) -> bytes | None:
    for image in islice(_undamaged(work), _CANDIDATES):
        work.check_stop()
        with suppress(MemberChanged, FileNotFoundError, *NO_JPEG):
            body = image_bytes(work.folder, image)
            thumbnail = shrink(work.jpeg_of(body) if image.extension == "jxl" else body)
            if thumbnail:
                return thumbnail
    return None


def _undamaged(work: Work) -> Iterator[ImageRecord]:
    return (image for image in streams.in_order(work.ledger) if image.state is State.SAVED)
