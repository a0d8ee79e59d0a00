"""A picture of a day for those who look at the collection, made while its images are here."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from mapillary_crawler.archive.finish.day_folder import MemberChanged, read
from mapillary_crawler.archive.finish.pictures import NO_JPEG, reduced
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.ledger.images import manifest_place
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, State

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
    undamaged = (record for record in records if record.state is State.SAVED)
    for record in heapq.nsmallest(_CANDIDATES, undamaged, key=manifest_place):
        work.check_stop()
        with suppress(MemberChanged, *NO_JPEG):
            body = b"".join(read(work.folder, record))
            jpeg = reduced(work.jpeg_of(body) if record.extension == "jxl" else body)
            if jpeg is not None:
                return Sample(day, record.number, jpeg)
    return None
