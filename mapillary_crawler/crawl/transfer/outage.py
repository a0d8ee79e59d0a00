"""Pure: whether the CDN as a whole is away, and when to try it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from mapillary_crawler.crawl.transfer.window import TransferOutcome
from mapillary_crawler.graph.backoff import full_jitter

#: First attempts that fail in a row, without one success, before it is the CDN and not the images.
IN_A_ROW = 5
#: Answers in a row that are no images, before it is the CDN that blocks us: some users have several
#: images that it gives to nobody.
NO_IMAGES_IN_A_ROW = 50
#: Refusals in a row, as a multiple of what was in flight, before they are not for being too many:
#: the concurrency halves at each round trip, 1 + 1/2 + 1/4 and so on.
_REFUSED_WITHAL = 3
#: In flight with so few, none is refused for being too many.
_FEW = 2
#: Seconds of a pause: base and cap of the back-off, and the least.
_BASE, _CAP, _LEAST = 1.0, 60.0, 0.2
#: Seconds for which failures are the images' own once a known image came.
_PROVEN = 60.0


@dataclass(slots=True)
class Outage:
    """Fed with the outcome of every transfer; times in seconds on a clock that goes forward."""

    random: Random = field(default_factory=Random)
    #: When the transfers began to fail that made the outage; None if there is none.
    since: float | None = None
    _first_failure: float = 0.0
    _in_a_row: int = 0
    _refused_in_a_row: int = 0
    _no_images_in_a_row: int = 0
    _most_begun_with: int = 0
    _pauses: int = 0
    _proven_until: float = 0.0

    def finished(
        self, now: float, outcome: TransferOutcome, *, begun_with: int, first_attempt: bool
    ) -> bool:
        """Take in a finished transfer; say whether an outage begins or goes on with it.

        Images that failed before are no evidence against the CDN. Refusals are not, either, as
        long as they may be for too many at once: `begun_with` were in flight when it began.
        """
        if outcome in (TransferOutcome.GOOD, TransferOutcome.BESIDE):
            self.end()
            return False
        if self.since is not None:
            return True
        if not first_attempt or now < self._proven_until:
            return False
        if self._in_a_row + self._refused_in_a_row + self._no_images_in_a_row == 0:
            self._first_failure = now
        if outcome is TransferOutcome.NO_IMAGE:
            self._no_images_in_a_row += 1
        elif outcome is TransferOutcome.REFUSED and begun_with > _FEW:
            self._refused_in_a_row += 1
            self._most_begun_with = max(self._most_begun_with, begun_with)
        else:
            self._in_a_row += 1
        enough_refused = max(IN_A_ROW, _REFUSED_WITHAL * self._most_begun_with)
        if (
            self._in_a_row < IN_A_ROW
            and self._refused_in_a_row < enough_refused
            and self._no_images_in_a_row < NO_IMAGES_IN_A_ROW
        ):
            return False
        self.since = self._first_failure
        return True

    def pause(self) -> float:
        """Return how many seconds to wait before the next try: growing, with full jitter."""
        seconds = max(_LEAST, full_jitter(self._pauses, _BASE, _CAP, self.random))
        self._pauses += 1
        return seconds

    def disproved(self, now: float) -> None:
        """Note that a known image came: what fails is the images, not the CDN."""
        self.end()
        self._proven_until = now + _PROVEN

    def end(self) -> None:
        """Note that the CDN serves."""
        self.since = None
        self._in_a_row = self._refused_in_a_row = self._no_images_in_a_row = 0
        self._most_begun_with = self._pauses = 0
