"""Images that are said to be gone: believed one by one, and doubted where they are many in a row.

Graph API: a token without permission gives the same answer as a deleted image, and an image
server that has lost its files the same as for one. So nothing is final before an answer, or an
image known to exist, proves that others still come.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping

from mapillary_crawler.crawl import clock
from mapillary_crawler.ledger.records import Source
from mapillary_crawler.ledger.thread import LedgerThread

logger = logging.getLogger(__name__)

#: Images in a row that are believed to be gone without a look at one that is known to exist.
MOST = 50
#: Seconds until images are asked for again whose "gone" was not believed, and until it is
#: looked again whether one known to exist comes.
DISTRUST = 60.0
#: Images known to exist that are asked for, one after another.
WITNESSES = 3
#: Times in a run that something is doubted before it is left to the next run.
_DOUBTS = 3


#: Says of an image that is known to exist, by its id, whether it still comes; raises `RunStopped`
#: where the run is being stopped, and nothing is decided then.
Comes = Callable[[str], Awaitable[bool]]


class Gone:
    """What is said to be gone, by either source: each is proven, or doubted, by itself."""

    def __init__(
        self, ledger: LedgerThread, most_attempts: int, probes: Mapping[Source, Comes]
    ) -> None:
        self._bursts = {
            source: _Burst(ledger, most_attempts, source, comes) for source, comes in probes.items()
        }

    async def believe(self, source: Source, number: int) -> bool:
        """Settle an image as gone; or say that it is not believed, with none of its burst."""
        return await self._bursts[source].believe(number)

    async def prove(self, source: Source) -> None:
        """Note that the source gave something: what it said before is believed."""
        await self._bursts[source].prove()

    async def ends_proven(self) -> bool:
        """Say at the end of a run whether all is believed; what is not is wanted again."""
        for burst in self._bursts.values():
            if not await burst.ends_proven():
                return False
        return True


class _Burst:
    """What one source says is gone since it last gave something."""

    def __init__(
        self, ledger: LedgerThread, most_attempts: int, source: Source, comes: Comes
    ) -> None:
        self._ledger = ledger
        self._most_attempts = most_attempts
        self._source = source
        self._comes = comes
        self._unproven = 0
        self._proofs = 0
        self._doubts = 0
        self._doubted_at = -math.inf
        self._turn = asyncio.Lock()

    async def believe(self, number: int) -> bool:
        """Settle an image as gone, unless that is not believed."""
        async with self._turn:
            doubted = self._doubted_at > -math.inf
            if (doubted or self._unproven >= MOST) and not await self._others_come():
                return False
            before = self._proofs
            unproven = await self._ledger.ask(
                lambda ledger: ledger.gone.settle(number, self._source)
            )
            self._unproven = unproven if self._proofs == before else 1
            return True

    async def prove(self) -> None:
        """Note that the source gave something."""
        self._proofs += 1
        self._doubted_at = -math.inf
        if self._unproven:
            self._unproven = 0
            await self._ledger.ask(lambda ledger: ledger.gone.prove(self._source))

    async def ends_proven(self) -> bool:
        """Say at the end of a run whether all is believed.

        Where no image ever came, a few that are gone are believed all the same.
        """
        async with self._turn:
            if not self._unproven:
                return True
            if await self._looked() is False:
                await self._doubt()
                return False
            await self.prove()
            return True

    async def _others_come(self) -> bool:
        if time.monotonic() < self._doubted_at + DISTRUST:
            return False
        if await self._looked():
            await self.prove()
            return True
        await self._doubt()
        return False

    async def _looked(self) -> bool | None:
        """Ask for known images; any other that comes meanwhile is as good. None: none is known."""
        before = self._proofs
        known = await self._ledger.ask(
            lambda ledger: ledger.images.some_saved(WITNESSES) or ledger.slices.witnesses
        )
        for image_id in known:
            if await self._comes(image_id):
                return True
        if self._proofs != before:
            return True
        return False if known else None

    async def _doubt(self) -> None:
        if self._doubted_at == -math.inf:
            logger.warning(
                "Many images in a row are said to be gone, and none known to exist comes: "
                "not believed, they are asked for again"
            )
        self._unproven = 0
        self._doubted_at = time.monotonic()
        self._doubts += 1
        again = self._doubts < min(_DOUBTS, self._most_attempts)
        retry_at = clock.now() + DISTRUST if again else math.inf
        await self._ledger.ask(lambda ledger: ledger.gone.doubt(self._source, retry_at))
