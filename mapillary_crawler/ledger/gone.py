"""Images said to be gone, and which of them nobody has proven to be."""

from __future__ import annotations

from collections.abc import Sequence

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.images import Images
from mapillary_crawler.ledger.queue import Queue
from mapillary_crawler.ledger.records import FailedAttempt, Source, State

_NOT_BELIEVED = "said to be gone with many others, which is not believed"


class Gone:
    """Settles them; what is unproven outlives a crash, and is wanted again by the next run."""

    def __init__(self, database: Database, facts: Facts, images: Images, queue: Queue) -> None:
        self._database = database
        self._facts = facts
        self._images = images
        self._queue = queue

    def settle(self, number: int, source: Source) -> int:
        """Settle an image as gone, unproven; return how many there are by now."""
        with self._database.transaction():
            self._images.settle([number], State.GONE)
            unproven = [*self._unproven(source), number]
            self._facts.set(**{source.value: unproven})
        self._queue.came_back([number])
        return len(unproven)

    def unproven(self) -> set[int]:
        """Return the numbers of images that are settled as gone, and may be wanted again."""
        return {number for source in Source for number in self._unproven(source)}

    def prove(self, source: Source) -> None:
        """Note that those that were unproven are gone."""
        self._facts.set(**{source.value: []})

    def doubt(self, source: Source, retry_at: float) -> None:
        """Want again, from `retry_at` on (seconds since 1970), those that were unproven."""
        numbers = self._unproven(source)
        with self._database.transaction():
            self._images.unsettle(numbers, _NOT_BELIEVED)
            self._queue.fail([FailedAttempt(number, _NOT_BELIEVED, retry_at) for number in numbers])
            self.prove(source)

    def start_run(self) -> None:
        """Want again what a run left unproven that did not come to its end."""
        for source in Source:
            if self._unproven(source):
                self.doubt(source, 0)

    def _unproven(self, source: Source) -> Sequence[int]:
        numbers: list[int] = self._facts.get(source.value, [])
        return numbers
