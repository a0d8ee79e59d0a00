"""How far a day that is still being fetched is settled, and whether a part of it is full.

A part closes when every image before its end is settled: so what is in it does not depend on the
order in which images arrive, and the cut is that of `parts` over the whole day.
"""

from __future__ import annotations

from functools import partial

from mapillary_crawler.archive.finish.parts import Filling
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Bare, ImageRecord, State
from mapillary_crawler.ledger.streams import BATCH
from mapillary_crawler.ledger.thread import LedgerAccess


class Front:
    """Goes through a day in the order of its members, as far as all is settled, and no image twice.

    For days whose images are in the order of the index (`Members.are_in_order`).
    """

    def __init__(self, access: LedgerAccess, day: str, max_bytes: int) -> None:
        self._access = access
        self._day = day
        self._max_bytes = max_bytes
        self._key = ""
        self._filling = Filling(max_bytes)

    def advance(self) -> bool:
        """Go on; say whether the first part of what is in no tar is full."""
        while some := self._access.wait_for(partial(_settled, self._day, self._key)):
            for key, record in some:
                if record is None:
                    return False
                if record.size is not None and self._filling.take(record) is None:
                    return True
                self._key = key
        return False

    def sealed(self) -> None:
        """Begin the next part."""
        self._filling = Filling(self._max_bytes)


def _settled(day: str, after: str, ledger: Ledger) -> list[tuple[str, ImageRecord | None]]:
    """Return keys and images behind a key, None in place of what may come or go still."""
    unproven = ledger.gone.unproven()

    def is_settled(record: ImageRecord) -> bool:
        may_change = record.number in unproven or record.bare == Bare.OTHER_FORMAT
        return record.state is not State.UNSETTLED and not may_change

    return [
        (key, record if is_settled(record) else None)
        for key, record in ledger.members.in_no_tar(day, after, BATCH)
    ]
