"""Encodes images as WebP where the crawl was asked to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Self

from scrapy.exceptions import DropItem, NotConfigured

from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.crawl import clock
from mapillary_crawler.crawl.failures import failure
from mapillary_crawler.crawl.run import run_of
from mapillary_crawler.image import webp
from mapillary_crawler.terminal.warnings_once import WarningsOnce

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.crawl.encoding import Encoding
    from mapillary_crawler.items import ImageItem

logger = logging.getLogger(__name__)

#: Seconds that an encoder may take at first, as many more at each further attempt; the largest
#: panoramas take some ten.
TIMEOUT = 120.0
# How somebody, or the system for want of memory, ends a program: not the image's fault.
_ENDED_BY = frozenset({-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGKILL})


class EncodeInterrupted(Exception):
    """The encoder ended, or did not start or end, for a reason that is not the image's."""


class WebpPipeline:
    """Replaces the JPEG by WebP, as many at once as there are processors.

    What cannot be WebP keeps its JPEG, counted in `webp/kept_jpeg/…` and named in
    the log. An encode that was interrupted or took too long decides nothing, since a busy machine
    makes the same collection as another: its item is dropped, and the image becomes due again.
    """

    def __init__(self, crawler: Crawler, encoding: Encoding, *, timeout: float = TIMEOUT) -> None:
        self._run = run_of(crawler)
        self._stats = crawler.stats
        self._encoder = encoding.encoder
        self._options = {"quality": encoding.quality, "method": encoding.method}
        self._timeout = timeout
        self._slots = asyncio.Semaphore(usable_processors())
        self._running: set[asyncio.subprocess.Process] = set()
        self._ended = False
        self._random = Random()
        self._warnings = WarningsOnce(logger)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Take the encoder that the ledger has fixed; not configured without `webp`."""
        run = run_of(crawler)
        if run.collection.encoding is None:
            raise NotConfigured
        pipeline = cls(crawler, run.collection.encoding)
        run.on_stop(pipeline.kill_children)
        return pipeline

    async def process_item(self, item: ImageItem) -> ImageItem:
        """Encode the body; raises `DropItem` if the encode was interrupted."""
        if item.damaged or item.bare:
            return item
        self._run.encoding += 1
        try:
            encoded = await self._encode(item)
            webp.verify(encoded, item.body)
        except EncodeInterrupted as trouble:
            await self._report(item, trouble)
            raise DropItem(str(trouble)) from trouble
        except webp.WebpError as error:
            if self._stopping():
                raise DropItem(str(RunStopped())) from error
            self._stats.inc_value(f"webp/kept_jpeg/{error.reason}")
            self._warnings.note(f"JPEG kept, {error.reason}", f"{item.image_id}: {error}")
            return item
        finally:
            self._run.encoding -= 1
        item.body, item.extension = encoded, "webp"
        self._stats.inc_value("webp/encoded")
        return item

    def kill_children(self) -> None:
        """End the encoders that are running and begin no more; their items are dropped."""
        self._ended = True
        for process in self._running:
            _kill(process)

    def close_spider(self) -> None:
        """End what is still running, and log how many JPEGs were kept."""
        self.kill_children()
        self._warnings.summary()

    def _stopping(self) -> bool:
        return self._ended or self._run.stopping.is_set()

    async def _report(self, item: ImageItem, trouble: EncodeInterrupted) -> None:
        """Let the ledger make the image due again, unless the run ends anyway."""
        if self._stopping():
            return
        self._warnings.note("encoder interrupted, too slow or not started", str(trouble))
        failed = failure(
            item.number,
            trouble,
            attempts=item.attempts,
            most_attempts=self._run.collection.configuration.image_attempts,
            now=clock.now(),
            fresh=item.fresh,
            outage=False,
            random=self._random,
        )
        await self._run.ledger.ask(lambda ledger: ledger.queue.fail([failed]))

    async def _encode(self, item: ImageItem) -> bytes:
        if max(item.width, item.height) > webp.MAX_SIDE:
            raise webp.WebpError("too-large", f"{item.width} x {item.height} pixels")
        async with self._slots:
            if self._stopping():
                raise DropItem(str(RunStopped()))
            if self._encoder.kind == "cwebp":
                command = webp.cwebp_command(self._encoder.path, **self._options)
                return await self._run_encoder(command, item)
            # Cannot be ended like a process, but libwebp's work on one image is bounded.
            try:
                return await asyncio.to_thread(webp.encode_with_pillow, item.body, **self._options)
            except MemoryError as error:
                raise EncodeInterrupted(f"{item.image_id}: no memory to encode") from error

    async def _run_encoder(self, command: list[str], item: ImageItem) -> bytes:
        """Return what the encoder writes when it is given the body."""
        pipe = asyncio.subprocess.PIPE
        try:
            # In a session of its own, so that Ctrl-C reaches us alone.
            process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            # No process, or no memory for one, says nothing about the image.
            raise EncodeInterrupted(f"{item.image_id}: no encoder: {error}") from error
        self._running.add(process)
        if self._ended:  # since it was asked for
            _kill(process)
        seconds = self._timeout * (item.attempts + 1)
        try:
            async with asyncio.timeout(seconds):
                output, messages = await process.communicate(item.body)
        except TimeoutError as error:
            slow = f"{item.image_id}: no end of the encode after {seconds:g} s"
            raise EncodeInterrupted(slow) from error
        finally:
            _kill(process)
            await process.wait()
            self._running.discard(process)
        if process.returncode in _ENDED_BY:
            raise EncodeInterrupted(f"{item.image_id}: encode interrupted")
        if process.returncode != 0:
            lines = messages.decode(errors="replace").split("\n")
            raise webp.WebpError("encoder-failed", f"exit {process.returncode}: {lines[0][:200]}")
        return output


def _kill(process: asyncio.subprocess.Process) -> None:
    """End a process with all that it has started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
