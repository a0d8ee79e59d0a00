"""What an update of a finished collection would bring: its listing is gone through once.

Nothing is written, and nothing is known of it afterwards: an update lists for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.ledger.ledger import Ledger

#: What a selection is decided by.
_FIELDS = ("id", "captured_at", "geometry", "computed_geometry", "sequence")
#: Times that a page is asked for, and seconds before the second time; a person waits.
_TRIES, _WAIT = 4, 1.0
#: Pages in a row without an image that is new or known, behind which nothing is believed to be.
_IDLE_PAGES = 50
_PASSES = frozenset({Meaning.RETRY, Meaning.ASK_FOR_LESS})


@dataclass(frozen=True, slots=True)
class WouldBring:
    """Images that are listed and not known, and those known ones that are asked for once more."""

    new: int
    again: int

    @property
    def words(self) -> str:
        """What an update would bring, for people."""
        if not self.new:
            said = "an update would bring no new image"
        else:
            said = f"an update (-a update=1) would bring {self.new:,} new images"
        return f"{said}, and ask once more for {self.again:,}" if self.again else said


def would_bring(
    ledger: Ledger,
    collection: Collection,
    base: str,
    ask: Callable[[str], Answer],
    sleep: Callable[[float], None] = time.sleep,
) -> WouldBring:
    """Go through the listing of a user; `ask` asks the API, whose address is `base`.

    Raises `EndOfRun` where it does not tell.
    """
    new: set[str] = set()
    cursors: set[str | None] = set()
    cursor: str | None = None
    idle = 0
    while cursor not in cursors and idle < _IDLE_PAGES:
        cursors.add(cursor)
        page = _page(graph_api.page_url(base, collection, _FIELDS, cursor=cursor), ask, sleep)
        ids = [name for name in map(graph_rows.row_id, page.rows) if name]
        known = ledger.listing.known(ids)
        unknown = (row for row in page.rows if graph_rows.row_id(row) not in known)
        listed = (graph_rows.listed_row(row, collection) for row in unknown)
        new |= {row.image_id for row in listed if row and not row.outside}
        idle = 0 if ids else idle + 1
        cursor = page.following
        if cursor is None:
            break
    balance = ledger.images.balance()
    return WouldBring(len(new), balance.unavailable + balance.accepted + balance.damaged)


def _page(url: str, ask: Callable[[str], Answer], sleep: Callable[[float], None]) -> graph_api.Page:
    for number in range(_TRIES):
        if number:
            sleep(_WAIT * 2 ** (number - 1))
        answer = ask(url)
        message = answer.message
        if answer.meaning is Meaning.DATA:
            try:
                return graph_api.read_page(answer.data)
            except graph_api.MalformedPage as error:
                message = str(error)
        elif answer.meaning not in _PASSES:
            break
    refused = answer.meaning is Meaning.TOKEN
    outcome = Outcome.TOKEN_REFUSED if refused else Outcome.SERVICE_AWAY
    raise EndOfRun(outcome, f"the API does not say what an update would bring: {message}")
