"""Brings images to the disk and into the ledger, in batches."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem

from mapillary_crawler.collection.batch import NewFile, write_files
from mapillary_crawler.collection.names import member_path
from mapillary_crawler.collection.outcome import DiskFull, end_of_run
from mapillary_crawler.crawl.placeholders import withdraw
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.records import Bare, StoredFile

#: A batch is written when it has so many images, or is so many seconds old.
BATCH_IMAGES = 64
_BATCH_SECONDS = 0.25


class StoragePipeline:
    """Writes files whole and flushed, then commits them; an item leaves when it is saved.

    While one batch is written the next one gathers.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._run = run_of(crawler)
        self._gathered: list[tuple[ImageItem, asyncio.Future[None]]] = []
        self._full = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the pipeline for the run's collection."""
        return cls(crawler)

    async def process_item(self, item: ImageItem) -> ImageItem:
        """Return the item once it is saved; raises `DropItem` if the run ends before.

        It then says where its file is, for pipelines behind this one and for feeds.
        """
        saved = asyncio.get_running_loop().create_future()
        self._gathered.append((item, saved))
        if len(self._gathered) >= BATCH_IMAGES:
            self._full.set()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_batches())
        await saved
        item.body, item.url = b"", ""
        return item

    async def _write_batches(self) -> None:
        """Write what gathers until nothing is left."""
        while self._gathered:
            if len(self._gathered) < BATCH_IMAGES and not self._run.stopping.is_set():
                self._full.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), _BATCH_SECONDS)
            batch = self._gathered[:BATCH_IMAGES]
            del self._gathered[:BATCH_IMAGES]
            trouble = await self._write(batch)
            for _, saved in batch:
                if saved.cancelled():
                    continue
                if trouble:
                    saved.set_exception(DropItem(trouble))
                else:
                    saved.set_result(None)

    async def _write(self, batch: list[tuple[ImageItem, asyncio.Future[None]]]) -> str | None:
        """Write and commit a batch; return why that failed, if it did."""
        try:
            await self._store([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  whatever it is, nobody must wait for ever
            self._run.end(end_of_run(error))
            return str(error) or type(error).__name__
        return None

    async def _write_files(self, files: list[NewFile]) -> list[bytes]:
        """Write files and return their digests, as soon as there is room; raises `DiskFull`."""
        opened, room = self._run.collection, self._run.room
        least = room.least_free if room else opened.configuration.min_free_bytes
        if room is None:
            await self._ensure_room(sum(len(file.body) for file in files))
        while True:
            try:
                return await asyncio.to_thread(
                    write_files, opened.folder, files, min_free_bytes=least
                )
            except DiskFull:
                if room is None or not await room.is_made():
                    raise

    async def _ensure_room(self, size: int) -> None:
        """Raise `DiskFull` where nothing makes room and STAGING_MAX_BYTES is used up."""
        most = self._run.collection.configuration.staging_max_bytes
        if most and self._run.collection.slice_room:
            await self._run.collection.slice_room.ensure(size)
        elif most and await self._run.ledger.ask(lambda ledger: ledger.staged.kept()) + size > most:
            raise DiskFull(
                f"STAGING_MAX_BYTES ({most}) is used up; set it higher, or let uploads make room "
                "with upload=1 remove=1"
            )

    async def _store(self, items: list[ImageItem]) -> None:
        files = [
            NewFile(
                member_path(item.day, item.sequence, item.image_id, item.extension),
                item.body,
                item.captured_at,
            )
            for item in items
        ]
        digests = await self._write_files(files)
        stored = [
            StoredFile(
                number=item.number,
                extension=item.extension,
                sha256_served=item.sha256_served,
                sha256_stored=digest,
                size=len(item.body),
                damaged=item.damaged,
                bare=item.bare,
                sha256_jpeg=item.sha256_jpeg,
            )
            for item, digest in zip(items, digests, strict=True)
        ]
        await self._run.ledger.ask(lambda ledger: ledger.save(stored))
        for item, file, saved in zip(items, files, stored, strict=True):
            item.path, item.size = str(file.path), saved.size
            item.checksum = saved.sha256_stored.hex()
            if item.bare == Bare.OTHER_FORMAT:  # its body may have come for another meanwhile
                await withdraw(self._run, item.sha256_served)
