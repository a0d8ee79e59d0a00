"""Days into tars while the crawl goes on: each once nothing of it is wanted any more.

In a thread of its own, which asks the ledger a moment at a time. What it does not do the finish
does, by the same steps: the tars are the same, whenever they are made.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from mapillary_crawler.archive.finish import seal
from mapillary_crawler.archive.finish.errors import CHANGED
from mapillary_crawler.archive.finish.front import Front
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.update.merge import places_of_images
from mapillary_crawler.collection.outcome import RunStopped, is_disk_full
from mapillary_crawler.collection.probes import keeps_case
from mapillary_crawler.crawl import room
from mapillary_crawler.ledger.ledger import Ledger

if TYPE_CHECKING:
    from mapillary_crawler.crawl.open_collection import OpenCollection

logger = logging.getLogger(__name__)

#: Seconds between two looks, where that is more than so many times what a look costs the ledger.
_LOOK_AGAIN, _TIMES = 1.0, 50
#: Seconds until it is looked again where the disk has no room for a tar.
_NO_ROOM = 30.0


class Sealing:
    """Seals the days of a collection, dated ones first and ascending, as they are done.

    Of a day that is not, the parts that are full. `busy` says that a day is being sealed, `day`
    which; `trouble` why nothing is sealed any more in this run, if so. Each of `on_sealed` is
    called, in the thread of the sealing, once a tar is recorded.
    """

    def __init__(self, collection: OpenCollection, stop: Callable[[], bool]) -> None:
        self._collection = collection
        self._stop = stop
        self.on_sealed: list[Callable[[], None]] = []
        self.day = ""
        self.trouble: str | None = None
        #: Looks that found nothing to seal, or no room for it.
        self.looks = 0
        self._lacks_room = False
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        self._closing = False
        self._last = False
        self._work: Work | None = None
        self._keeps_case = True
        #: How far days are settled that are fetched still; None for those not sealed in parts.
        self._fronts: dict[str, Front | None] = {}
        #: Seconds that the last look has cost the ledger's thread.
        self._cost = 0.0
        #: Days that are left to the finish.
        self._left: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether a day is being sealed."""
        return bool(self.day)

    def start(self) -> None:
        """Begin to look for days that are done."""
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._watch,), name="sealing", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    @property
    def lacks_room(self) -> bool:
        """Whether the disk had no room for a tar when it was last looked."""
        return self._lacks_room

    def rest(self) -> None:
        """Seal all that is done by now, and then no more; blocks until then."""
        self._last = True
        self._woken.set()
        if self._thread:
            self._thread.join()

    def close(self) -> None:
        """Seal no more, once the part in hand is done; given up at once where the run stops."""
        self._closing = True
        self._woken.set()
        if self._thread:
            self._thread.join()
        if self._work:
            self._work.jpeg_of.close()

    def _watch(self) -> None:
        while not self._closing:
            is_last = self._last
            wait = self._look()
            if wait is None or is_last:
                return
            self._woken.wait(wait)
            self._woken.clear()

    def _look(self) -> float | None:
        """Seal what is done; return when to look again, None where that is of no use."""
        try:
            while self._seal_what_is_done():
                continue
        except RunStopped:
            return None
        except Exception as error:  # noqa: BLE001  whatever it is, the crawl must hear of it
            if is_disk_full(error):
                if not self._lacks_room:
                    logger.info("%s; sealing waits", error)
                self._lacks_room = True
                self.looks += 1
                return _NO_ROOM
            self.trouble = str(error) or type(error).__name__
            logger.warning("No more tars are made before the crawl ends: %s", error)
            return None
        self._lacks_room = False
        self.looks += 1
        return max(_LOOK_AGAIN, _TIMES * self._cost)

    def _seal_what_is_done(self) -> bool:
        """Seal all that is done, day by day; say whether there was anything."""
        self._cost = 0.0
        sealed = [self._seal(day) for day in self._ask(_done)]
        if self._collection.tar:
            sealed += [self._seal_full_parts(day) for day in self._ask(_begun)]
        return any(sealed)

    def _ask(self, work: Callable[[Ledger], list[str]]) -> list[str]:
        """Ask the ledger, and note what that costs its thread: it grows with the days."""

        def measured(ledger: Ledger) -> list[str]:
            began = time.thread_time()
            try:
                return work(ledger)
            finally:
                self._cost += time.thread_time() - began

        return self._collection.ledger.wait_for(measured)

    def _seal(self, day: str) -> bool:
        """Seal a day of which nothing is wanted any more, unless that is left to the finish."""
        work = self._ready()
        if day in self._left or not work.ledger.wait_for(partial(self._may_be_sealed, day)):
            return False
        count = work.ledger.wait_for(lambda ledger: ledger.images.count_loose(day))
        if count:
            doing = "sealing" if self._collection.tar else "checking"
            logger.info("%s day %s, %d images", doing, day, count)
        with self._at(day):
            if self._collection.tar:
                changed = seal.seal_day(work, day, self._collection.tar_max_bytes)
            else:
                changed = seal.check_day(work, day)
        self._fronts.pop(day, None)
        return self._is_sealed(day, changed)

    def _seal_full_parts(self, day: str) -> bool:
        """Seal those parts of a day that are full, while others are fetched still."""
        front = self._front(day)
        sealed = False
        while front and front.advance():
            logger.info("sealing a part of day %s, which is full", day)
            with self._at(day):
                changed = seal.seal_first_part(self._ready(), day, self._collection.tar_max_bytes)
            if not self._is_sealed(day, changed):
                break
            front.sealed()
            sealed = True
        return sealed

    def _front(self, day: str) -> Front | None:
        """Return how far a day is settled; None where it is not sealed before it is whole."""
        if day in self._left:
            return None
        if day not in self._fronts:
            work = self._ready()
            in_parts = work.ledger.wait_for(partial(self._may_be_sealed_in_parts, day))
            if in_parts:
                seal.remove_sealed(work, day)
            max_bytes = self._collection.tar_max_bytes
            self._fronts[day] = Front(work.ledger, day, max_bytes) if in_parts else None
        return self._fronts[day]

    def _may_be_sealed(self, day: str, ledger: Ledger) -> bool:
        """Say whether nothing of a day can change any more, and its files are apart."""
        members = ledger.members
        # Where images stay loose, folders of sequences may meet, too: the finish says so.
        is_apart = self._keeps_case or (self._collection.tar and members.meet_nowhere(day))
        if members.may_be_withdrawn(day) or not is_apart:
            self._left.add(day)
        return day not in self._left

    def _may_be_sealed_in_parts(self, day: str, ledger: Ledger) -> bool:
        """Say whether a day's parts are made of its images in the order of the index."""
        members = ledger.members
        in_order = members.are_in_order(day) and not ledger.pieces.has_lost(day)
        return in_order and (self._keeps_case or members.meet_nowhere(day))

    def _is_sealed(self, day: str, changed: list[int]) -> bool:
        """Say whether a day or a part was sealed; what has changed is fetched again.

        Then the rest of the day is left to the finish: what its disk did once it may do again.
        """
        if changed:
            logger.warning(
                "%d stored images of %s are missing or do not match their checksums; "
                "they are fetched again", len(changed), day,
            )  # fmt: skip
            self._collection.ledger.wait_for(
                lambda ledger: ledger.images.unsettle(changed, CHANGED)
            )
            self._left.add(day)
            self._fronts.pop(day, None)
        return not changed

    def _ready(self) -> Work:
        """Return what the steps of the finish are given; raises `RunStopped` at the end."""
        if self._closing:
            raise RunStopped
        if self._work is None:
            opened = self._collection
            self._keeps_case = keeps_case(opened.folder)
            self._work = Work(
                opened.ledger,
                opened.folder,
                self._stop,
                logger.info,
                sealed=self._tell,
                reserve=self._reserve(),
                elsewhere=places_of_images(opened.destination) if opened.updating else (),
            )
            self._work.make_scratch()
            seal.forget_unfinished(self._work)
        return self._work

    def _reserve(self) -> int:
        """Return the bytes of the disk that no tar of the crawl may use.

        Where tars are removed the feeder sees to it that there is room for one.
        """
        configuration = self._collection.configuration
        if self._collection.arguments.remove:
            return room.spare(configuration.min_free_bytes)
        return configuration.min_free_bytes + configuration.in_flight_bytes

    def _tell(self) -> None:
        for call in self.on_sealed:
            call()

    @contextmanager
    def _at(self, day: str) -> Iterator[None]:
        self.day = day
        try:
            yield
        finally:
            self.day = ""


def _done(ledger: Ledger) -> list[str]:
    """Return the days of which nothing is wanted, nor may be wanted again, any more."""
    if not ledger.listing.position().closed:
        return []
    doubtful = ledger.days.of_images(ledger.gone.unproven())
    return [day for day in ledger.days.done() if day not in doubtful]


def _begun(ledger: Ledger) -> list[str]:
    return ledger.days.begun() if ledger.listing.position().closed else []
