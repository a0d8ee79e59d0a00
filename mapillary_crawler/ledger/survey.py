"""What can be counted of a collection as a whole, for those who watch or plan."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mapillary_crawler.balance import Balance
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.schema import State


@dataclass(frozen=True, slots=True)
class Waiting:
    """Images whose last attempt failed: those tried again in this run, and those not."""

    to_retry: int
    given_up: int


class Survey:
    """Counts; each says what it costs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self) -> tuple[Balance, Waiting]:
        """Return the balance without `untried`, and what waits; cheap, whatever is listed."""
        counts = {
            State(state): (images, size)
            for state, images, size in self._database.execute("SELECT * FROM balance")
        }
        images = {state: counts[state][0] for state in State}
        nameless = self._database.value("SELECT value FROM facts WHERE name = 'nameless'")
        balance = Balance(
            saved=images[State.SAVED] + images[State.DAMAGED],
            damaged=images[State.DAMAGED],
            gone=images[State.GONE],
            unavailable=images[State.UNAVAILABLE],
            failed=images[State.UNSETTLED] + images[State.ACCEPTED],
            accepted=images[State.ACCEPTED],
            outside=images[State.OUTSIDE],
            nameless=int(nameless or 0),
            bytes_saved=counts[State.SAVED][1] + counts[State.DAMAGED][1],
        )
        to_retry = self._database.value(
            "SELECT count(*) FROM unsettled WHERE retry_at > 0 AND retry_at < ?", (math.inf,)
        )
        given_up = self._database.value(
            "SELECT count(*) FROM unsettled WHERE retry_at = ?", (math.inf,)
        )
        return balance, Waiting(to_retry, given_up)
