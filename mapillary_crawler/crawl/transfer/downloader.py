"""Scrapy's downloader with slot limits that hold.

Scrapy 2.19 counts a request as transferring when its task first runs, not when
it is scheduled, so under asyncio a slot limited to 8 lets 200 in flight. Here a
request is counted when its turn is given, and waits for that turn in the task
that downloads it. Private methods are overridden, hence `scrapy>=2.19,<2.20`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, cast

from scrapy import signals
from scrapy.core.downloader import Downloader, Slot
from scrapy.utils.asyncio import call_later

from mapillary_crawler.collection.configuration import read_number
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.collection.units import read_size
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.brake import Brake

if TYPE_CHECKING:
    from collections import deque

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    Turns = deque[tuple[Request, asyncio.Future[None]]]

#: Keys of `request.meta`: when the transfer left the slot's queue, on the monotonic clock, and how
#: many transfers the slot then held, itself too.
TRANSFER_STARTED, TRANSFER_BESIDE = "transfer_started", "transfer_beside"
#: The brake of an image's transfer, and the seconds that it has waited there.
BRAKE, TRANSFER_BRAKED = "brake", "transfer_braked"


class LimitedDownloader(Downloader):
    """Downloader whose slots never hold more transfers than their concurrency.

    Slots can be resized and paused while they work, and both outlive a slot
    that Scrapy forgets after a minute without requests.
    """

    #: What keeps images below MAX_BYTES_PER_SECOND; None where that is off.
    brake: Brake | None = None

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._tasks: dict[Request, asyncio.Task[object]] = {}
        self._paused_until: dict[str, float] = {}
        self._cancelled = False
        if crawler.settings["MAX_BYTES_PER_SECOND"]:
            most = read_number(crawler.settings, "MAX_BYTES_PER_SECOND", 0, read_size)
            self.brake = Brake(most) if most else None

    def set_concurrency(self, slot_key: str, concurrency: int) -> None:
        """Limit a slot to so many transfers, from now on and when it is made anew.

        A higher limit starts queued requests at once, a lower one ends no transfer.
        """
        made_with = self.per_slot_settings.get(slot_key, {})
        self.per_slot_settings[slot_key] = {**made_with, "concurrency": concurrency}
        slot = self.slots.get(slot_key)
        if slot is not None:
            slot.concurrency = concurrency
            self._process_queue(slot)

    def pause(self, slot_key: str, seconds: float) -> None:
        """Start no transfer in a slot for so many seconds; a longer pause stays as it is."""
        until = monotonic() + seconds
        if until <= self._paused_until.get(slot_key, 0):
            return
        self._paused_until[slot_key] = until
        slot = self.slots.get(slot_key)
        if slot is not None:
            self._hold(slot, seconds)

    def resume(self, slot_key: str) -> None:
        """End a slot's pause and start what is queued."""
        if self._paused_until.pop(slot_key, None) and (slot := self.slots.get(slot_key)):
            slot.close()
            self._process_queue(slot)

    def paused_for(self, slot_key: str) -> float:
        """Seconds until a paused slot starts transfers again, 0 if it is not paused."""
        return max(0.0, self._paused_until.get(slot_key, 0) - monotonic())

    def in_flight(self, slot_key: str) -> int:
        """Transfers that a slot holds now."""
        slot = self.slots.get(slot_key)
        return len(slot.transferring) if slot is not None else 0

    def cancel_all(self) -> None:
        """End every transfer and every queued request, and refuse those that come later.

        Whoever waits for one of them gets `RunStopped`.
        """
        self._cancelled = True
        for slot in self.slots.values():
            slot.close()
        for task in list(self._tasks.values()):
            task.cancel()

    def cancel_queued(self) -> None:
        """End every queued request, and refuse those that come later; transfers go on."""
        self._cancelled = True
        transferring = {request for slot in self.slots.values() for request in slot.transferring}
        for request, task in list(self._tasks.items()):
            if request not in transferring:
                task.cancel()

    def _hold(self, slot: Slot, seconds: float) -> None:
        slot.close()
        slot.latercall = call_later(seconds, self._latercall, slot)

    def _get_slot(
        self,
        request: Request,
        spider: Spider | None = None,
    ) -> tuple[str, Slot]:
        known = len(self.slots)
        key, slot = super()._get_slot(request)
        if len(self.slots) != known and (seconds := self.paused_for(key)):
            self._hold(slot, seconds)
        return key, slot

    async def _enqueue_request(self, request: Request) -> Response:
        if self._cancelled:
            raise RunStopped
        key, slot = self._get_slot(request)
        request.meta[self.DOWNLOAD_SLOT] = key
        if self.brake and key in slots.OF_IMAGES:
            request.meta[BRAKE] = self.brake
        slot.active.add(request)
        self._tasks[request] = cast("asyncio.Task[object]", asyncio.current_task())
        try:
            self.signals.send_catch_log(
                signal=signals.request_reached_downloader,
                request=request,
                spider=self.crawler.spider,
            )
            turn = asyncio.get_running_loop().create_future()
            _turns(slot).append((request, turn))
            self._process_queue(slot)
            await turn
            return await self._download(slot, request)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            raise RunStopped from None
        finally:
            del self._tasks[request]
            slot.active.remove(request)
            if request in slot.transferring:  # cancelled between its turn and its start
                slot.transferring.remove(request)
                self._process_queue(slot)

    def _process_queue(self, slot: Slot) -> None:
        if slot.latercall or self._cancelled:
            return
        delay = slot.download_delay()
        turns = _turns(slot)
        while turns and slot.free_transfer_slots() > 0:
            request, turn = turns[0]
            if turn.done():  # its waiter was cancelled
                turns.popleft()
                continue
            now = monotonic()
            if delay and (penalty := slot.lastseen + delay - now) > 0:
                self._hold(slot, penalty)
                return
            turns.popleft()
            slot.lastseen = now
            slot.transferring.add(request)
            request.meta[TRANSFER_STARTED] = now
            request.meta[TRANSFER_BESIDE] = len(slot.transferring)
            turn.set_result(None)


def downloader_of(crawler: Crawler) -> LimitedDownloader:
    """Return the downloader of a crawler whose engine is made."""
    downloader = crawler.engine.downloader
    assert isinstance(downloader, LimitedDownloader)
    return downloader


def _turns(slot: Slot) -> Turns:
    """Return the slot's queue, which here holds asyncio's futures, not Twisted's Deferreds."""
    return cast("Turns", slot.queue)
