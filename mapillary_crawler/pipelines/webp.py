"""Encodes images as WebP where the crawl was asked to."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from mapillary_crawler.crawl.encoding import WebpEncoding
from mapillary_crawler.image import webp
from mapillary_crawler.image.encoders import ENDED_BY, EncodeInterrupted
from mapillary_crawler.pipelines.encoding import TIMEOUT, EncodingPipeline

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.items import ImageItem


class WebpPipeline(EncodingPipeline):
    """Replaces the JPEG by WebP; comes after `XmpPipeline`."""

    extension = "webp"
    encoding = WebpEncoding

    def __init__(
        self, crawler: Crawler, encoding: WebpEncoding, *, timeout: float = TIMEOUT
    ) -> None:
        super().__init__(crawler, encoding, timeout=timeout)
        self._options = {"quality": encoding.quality, "method": encoding.method}
        self._running: set[asyncio.subprocess.Process] = set()

    def refuse(self, item: ImageItem) -> None:
        """Raise `WebpError` for sides that WebP cannot have."""
        if max(item.width, item.height) > webp.MAX_SIDE:
            raise webp.WebpError("too-large", f"{item.width} x {item.height} pixels")

    async def encode(self, item: ImageItem, seconds: float) -> bytes:
        """Return the body as WebP; raises `WebpError`, `EncodeInterrupted`."""
        if self._encoder.kind == "cwebp":
            encoded = await self._run_encoder(item, seconds)
        else:
            # Cannot be ended like a process, but libwebp's work on one image is bounded.
            try:
                encoded = await asyncio.to_thread(
                    webp.encode_with_pillow, item.body, **self._options
                )
            except MemoryError as error:
                raise EncodeInterrupted(f"{item.image_id}: no memory to encode") from error
        webp.verify(encoded, item.body)
        return encoded

    def end_encoders(self) -> None:
        """End the processes that are running."""
        for process in self._running:
            _kill(process)

    async def _run_encoder(self, item: ImageItem, seconds: float) -> bytes:
        """Return what cwebp writes when it is given the body."""
        command = webp.cwebp_command(self._encoder.path, **self._options)
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
        if process.returncode in ENDED_BY:
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
