"""The room of a crawl that removes what archive.org has: what is drawn from the queue, and when."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mapillary_crawler.archive.finish.parts import closed
from mapillary_crawler.collection.layout import LOGS, STATE
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl import clock, room
from mapillary_crawler.crawl.room import Decision, Move, Reach, Space, Stretch
from mapillary_crawler.crawl.transfer import bodies
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DueImage, StagedBytes, StagedDay, StagedRow

if TYPE_CHECKING:
    from mapillary_crawler.crawl.run import Run

logger = logging.getLogger(__name__)

#: Rows of a large day that are looked at in one question.
_ROWS = 2000
#: What a file takes of a disk beside its bytes, on average: half a block.
_BLOCK = 2048
#: Seconds for which bytes beside images and tars hold.
_BESIDES_HOLD = 1.0
#: Seconds for which it holds what is missing, and how many times as long as it took to find it.
_MISSING_HOLDS, _AS_LONG = 0.5, 5
#: Images for which fresh URLs are asked at once.
_A_BATCH = 50
#: Looks in a row, and seconds between two, that find nothing to make room before a run ends by it.
_LOOKS, _BETWEEN_LOOKS = 3, 0.5


class StagingRoom:
    """Draws what there is room for; one per run with remove=1."""

    def __init__(self, run: Run, part: int) -> None:
        self._run = run
        #: The bytes of a full part.
        self._part = part
        self._ready = False
        self._fed: frozenset[str] = frozenset()
        #: What was decided, and until when that holds.
        self._decision: tuple[float, Decision] | None = None
        self._besides = (0.0, 0)
        #: Where the first row of a large day is that is in no tar.
        self._starts: dict[str, str] = {}
        #: Looks in a row that found that the run is to end, and those of the sealing before them.
        self._looks = self._sealing_looks = 0
        #: What the run waits for, for people; empty where there is room.
        self.words = ""

    async def draw(self, most: int, *, only_renewed: bool) -> list[DueImage]:
        """Return up to `most` images that are due and for which there is room.

        With `only_renewed`, where there is room for any, those that have got URLs since. Raises
        `EndOfRun` once nothing that could still be fetched has room, and nothing makes any.
        """
        if not self._ready:
            await self._run.ledger.ask(lambda ledger: ledger.staged.make())
            self._ready = True
        here, drawn, image = await self._run.ledger.ask(self._look)
        space = self._space(here, drawn * image)
        limit = min(most, space.fits(image, here.to_retry), self._in_flight(image) - drawn)
        if limit > 0:
            self.words, self._decision, self._looks = "", None, 0
            self._fed = frozenset()
            return await self._run.ledger.ask(
                lambda ledger: ledger.queue.draw_next(
                    clock.now(), limit, by_day=True, only_renewed=only_renewed
                )
            )
        decision = await self._decide(space, image, drawn)
        if decision.move is Move.FEED:
            self._looks, self.words = 0, ""
            limit = min(most, max(1, self._in_flight(image) - drawn))
            return await self._run.ledger.ask(lambda ledger: _of(ledger, decision, limit))
        self.words = self._waiting()
        if decision.move is Move.WAIT:
            self._looks = 0
            if sealing := self._run.sealing:
                sealing.wake()
        else:
            await self._end(decision, space)
        return []

    def can_free(self) -> bool:
        """Say whether sealing or uploads make room, or may."""
        sealing, upload = self._run.sealing, self._run.upload
        return upload is not None and (
            upload.state.can_free
            or (upload.state.trouble is None and sealing is not None and sealing.busy)
        )

    @property
    def least_free(self) -> int:
        """Bytes of the disk that stay free of images, whatever presses."""
        return room.spare(self._run.collection.configuration.min_free_bytes)

    async def is_made(self) -> bool:
        """Wait a moment where a disk is full; say whether there may be room now."""
        if self._run.stopping.is_set() or not self.can_free():
            return False
        self.words = self._waiting()
        await asyncio.sleep(_BETWEEN_LOOKS)
        return True

    # What there is

    def _look(self, ledger: Ledger) -> tuple[StagedBytes, int, int]:
        """Return what is here, how many images are drawn, and the bytes that one is to have."""
        kept = ledger.survey.kept_saved()
        quality = self._run.collection.collection.quality
        images, size = kept if kept[0] else (1, bodies.EXPECTED_BYTES[quality])
        return ledger.staged.bytes(), ledger.queue.drawn, size * 9 // (8 * images) + _BLOCK

    def _space(self, here: StagedBytes, in_flight: int) -> Space:
        opened = self._run.collection
        configuration = opened.configuration
        disk = shutil.disk_usage(opened.folder)
        return room.space(
            used=here.loose_bytes + here.loose * _BLOCK + here.tar_bytes + self._other_bytes(),
            in_flight=in_flight,
            free=disk.free if disk.total else None,
            part=self._part,
            in_flight_bytes=configuration.in_flight_bytes,
            staging_max_bytes=configuration.staging_max_bytes,
            min_free_bytes=configuration.min_free_bytes,
        )

    def _in_flight(self, image: int) -> int:
        """Return how many images may be on their way; they are asked for many at once."""
        return max(_A_BATCH, self._run.collection.configuration.in_flight_bytes // image)

    def _other_bytes(self) -> int:
        """Return the bytes of the ledger and of logs."""
        looked_at, size = self._besides
        now = time.monotonic()
        if now - looked_at >= _BESIDES_HOLD:
            size = sum(sizes_besides(self._run.collection.folder))
            self._besides = (now, size)
        return size

    # What is missing

    async def _decide(self, space: Space, image: int, drawn: int) -> Decision:
        """Return what to do where there is no room for whatever comes next."""
        began = time.monotonic()
        if self._decision and began < self._decision[0]:
            return self._decision[1]
        days = await self._run.ledger.ask(lambda ledger: ledger.staged.days())
        stretches = [await self._stretch(day, image) for day in days if day.missing]
        can_free = self.can_free()
        decision = room.decide(space, stretches, can_free=can_free, on_their_way=bool(drawn))
        self._fed = frozenset(each.day for each in decision.fed)
        now = time.monotonic()
        self._decision = (now + max(_MISSING_HOLDS, _AS_LONG * (now - began)), decision)
        return decision

    async def _stretch(self, day: StagedDay, image: int) -> Stretch:
        """Return what is missing of a day, or of the next part of a large one."""
        missing = day.missing * image
        size = closed(day.loose_bytes + missing + (day.loose + day.missing) * _BLOCK)
        begun = day.day in self._fed
        if size < self._part or not await self._run.ledger.ask(
            lambda ledger: ledger.members.are_in_order(day.day)
        ):
            tar = min(size, self._part)
            return Stretch(
                day.day, day.missing, missing, tar, day.failed, day.loose_bytes, begun=begun
            )
        return await self._reach(day.day, image, begun=begun)

    async def _reach(self, day: str, image: int, *, begun: bool) -> Stretch:
        """Return what is missing of the next part, by its rows."""
        reach = Reach(day, self._part, image)
        key, is_full, start = self._starts.get(day, ""), False, None
        while not is_full and (rows := await self._run.ledger.ask(partial(_rows, day, key))):
            start = start or rows[0].key
            is_full = any(reach.take(row.size, key=row.key, failed=row.failed) for row in rows)
            key = f"{rows[-1].key}\0"
        self._starts[day] = start or key
        return reach.stretch(begun=begun)

    # What is said, and how it ends

    def _waiting(self) -> str:
        """Return what makes room, for people."""
        sealing, upload = self._run.sealing, self._run.upload
        if upload and (unseen := upload.state.uploaded - upload.state.verified):
            return f"room: archive.org still checks {unseen} part{'s' * (unseen != 1)}"
        if upload and upload.state.words:
            return f"room: {upload.state.words}"
        return f"room: sealing {sealing.day}" if sealing and sealing.day else "room"

    async def _end(self, decision: Decision, space: Space) -> None:
        """End the run by a decision that stands when it is looked at again, and once more.

        What was fetched last may just be about to be sealed, and a ledger's WAL give bytes back.
        """
        sealing = self._run.sealing
        if not self._looks and sealing:
            self._sealing_looks = sealing.looks
        self._looks += 1
        if self._looks < _LOOKS or not self._sealing_has_looked():
            await self._run.ledger.ask(lambda ledger: ledger.database.fold_wal())
            self._besides = (0.0, 0)
            if sealing:
                sealing.wake()
            self._decision = None
            await self._run.sleep(_BETWEEN_LOOKS)
            return
        if decision.move is Move.NO_ROOM:
            upload = self._run.upload
            why = (upload.state.trouble or "") if upload else ""
            bound = self._run.collection.configuration.staging_max_bytes
            raise EndOfRun(Outcome.DISK_FULL, room.no_room(decision, space, bound, why))
        if not self._run.collection.arguments.accept_failed:
            raise EndOfRun(Outcome.INCOMPLETE, room.held_back(decision.held))
        accepted = await self._run.ledger.ask(
            lambda ledger: ledger.images.accept_given_up(decision.held)
        )
        logger.info("Going on without %d images that failed, as accepted", accepted)
        self._decision, self._looks = None, 0

    def _sealing_has_looked(self) -> bool:
        """Say whether sealing, too, has found nothing, by a look that began since."""
        sealing = self._run.sealing
        return (
            sealing is None
            or sealing.trouble is not None
            or sealing.looks >= self._sealing_looks + 2
        )


def _rows(day: str, first: str, ledger: Ledger) -> list[StagedRow]:
    return ledger.staged.rows(day, first, _ROWS)


def _of(ledger: Ledger, decision: Decision, limit: int) -> list[DueImage]:
    """Return what is due of that which is to be fed."""
    due: list[DueImage] = []
    for each in decision.fed:
        if len(due) < limit:
            due += ledger.queue.draw_missing(
                each.day, each.first, each.last, clock.now(), limit - len(due)
            )
    return due


def sizes_besides(folder: Path) -> Iterator[int]:
    """Yield the bytes of the files beside images and tars: the ledger, and logs."""
    with suppress(OSError), os.scandir(folder / STATE) as entries:
        for entry in entries:
            with suppress(OSError):
                yield entry.stat(follow_symlinks=False).st_size
    for log in folder.glob(LOGS):
        with suppress(OSError):
            yield log.stat().st_size
