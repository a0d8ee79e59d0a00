"""The room that the slices of a collection have together, while an upload makes more.

Those of lower numbers go before: else each would have some room, and none enough to end.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.reading import Held, held
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.layout import slice_folder
from mapillary_crawler.collection.outcome import DiskFull, ProjectError
from mapillary_crawler.crawl import room
from mapillary_crawler.crawl.room import Space
from mapillary_crawler.crawl.staging_room import sizes_besides
from mapillary_crawler.crawl.transfer.bodies import EXPECTED_BYTES
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.terminal.quantities import size as in_words

#: About what part of the room a slice may have, when it is cut: several are crawled, and several
#: lie here until archive.org has them.
_PARTS = 8
#: It is not cut into slices so many times smaller than they may be: each costs a start.
_TOO_SMALL = 20
#: Seconds for which it holds what others have here.
_HOLDS = 1.0


class SliceRoom:
    """The room of the collection in `folder`, whose images have a `quality`."""

    def __init__(self, folder: Path, configuration: Configuration, quality: str) -> None:
        self._folder = folder
        self._configuration = configuration
        self._expected = EXPECTED_BYTES[quality]
        #: What may be stored until it is looked at again, and when.
        self._left, self._look_at = 0, 0.0

    def size(self, ledger: Ledger) -> int | None:
        """Return about how many images a slice is to have; None where there is no room for slices.

        `ledger` is that of the collection.
        """
        most = self._configuration.slice_images
        found = held(self._folder, ledger)
        fits = self._space(found, self._part(ledger)).fits(self._image(found))
        size = min(most, fits // _PARTS)
        if size * _TOO_SMALL < most or ledger.slices.largest(size) > fits // 2:
            return None
        return size

    def lacks(self, ledger: Ledger, number: int | None = None) -> bool:
        """Say whether a slice cannot be crawled to its end in the room that is left.

        The first open one where no `number` is given. `ledger` is that of the collection.
        """
        found = held(self._folder, ledger)
        if not found.missing:
            return False
        up_to = min(found.missing) if number is None else number
        missing = sum(images for each, images in found.missing.items() if each <= up_to)
        return self._space(found, self._part(ledger)).fits(self._image(found)) < missing

    async def ensure(self, size: int) -> None:
        """Take room for so many bytes; raises `DiskFull`."""
        if time.monotonic() >= self._look_at:
            with suppress(sqlite3.Error, ProjectError):  # it is merged into just now, say
                self._left = await asyncio.to_thread(self._look)
            self._look_at = time.monotonic() + _HOLDS
        self._left -= size
        if self._left < 0:
            most = in_words(self._configuration.staging_max_bytes)
            raise DiskFull(
                f"all slices together have used up STAGING_MAX_BYTES ({most}); this one goes on "
                "once an upload has made room"
            )

    def _look(self) -> int:
        with closing(read_ledger(self._folder)) as ledger:
            found, part = held(self._folder, ledger), self._part(ledger)
        space = self._space(found, part)
        return space.bound - space.part - space.used

    def _part(self, ledger: Ledger) -> int:
        part: int = ledger.facts.get("tar_max_bytes") or self._configuration.tar_max_bytes
        return part

    def _image(self, found: Held) -> int:
        """Return the bytes that an image is to have."""
        if not found.saved:
            return self._expected
        return max(1, found.saved_bytes * 9 // (8 * found.saved))

    def _space(self, found: Held, part: int) -> Space:
        disk = shutil.disk_usage(self._folder)
        folders = (self._folder, *(slice_folder(self._folder, each) for each in found.missing))
        besides = sum(size for folder in folders for size in sizes_besides(folder))
        return room.space(
            used=found.size + besides,
            in_flight=0,
            free=disk.free if disk.total else None,
            part=part,
            in_flight_bytes=self._configuration.in_flight_bytes,
            staging_max_bytes=self._configuration.staging_max_bytes,
            min_free_bytes=self._configuration.min_free_bytes,
        )
