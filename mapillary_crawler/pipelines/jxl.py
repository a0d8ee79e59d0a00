"""Turns JPEGs into JPEG XL that gives them back, where the crawl was asked to."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mapillary_crawler.crawl.encoding import JxlEncoding
from mapillary_crawler.crawl.transfer.byte_budget import ByteBudget
from mapillary_crawler.image.encoders import EncodeInterrupted
from mapillary_crawler.image.jxl import JxlError
from mapillary_crawler.image.jxl_codec import BYTES_A_PIXEL, MAX_PIXELS, Codec, TooSlow
from mapillary_crawler.pipelines.encoding import TIMEOUT, EncodingPipeline

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.items import ImageItem

#: Memory that the encoders may take together for each processor, which is a picture of 14 million
#: pixels; one that is larger than all of it is encoded alone.
_MEMORY = 256 * 1024 * 1024
#: Copies of a body while it is encoded, besides those that every image has: the JPEG XL and the
#: JPEG that it gives back, here and in the pipe, which the worker holds as well.
_COPIES = 4


class JxlPipeline(EncodingPipeline):
    """Replaces the JPEG by JPEG XL that is proven to give it back; comes after `XmpPipeline`."""

    extension = "jxl"
    encoding = JxlEncoding

    def __init__(
        self, crawler: Crawler, encoding: JxlEncoding, *, timeout: float = TIMEOUT
    ) -> None:
        super().__init__(crawler, encoding, timeout=timeout)
        workers = self._run.collection.configuration.processors
        self._effort = encoding.effort
        self._codec = Codec(self._encoder)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="jxl")
        self._memory = ByteBudget(workers * _MEMORY, 0)

    def refuse(self, item: ImageItem) -> None:
        """Raise `JxlError` for a picture whose encode would take too much memory."""
        if item.width * item.height > MAX_PIXELS:
            raise JxlError("too-large", f"{item.width} x {item.height} pixels")

    async def encode(self, item: ImageItem, seconds: float) -> bytes:
        """Return the body as JPEG XL; raises `JxlError`, `EncodeInterrupted`.

        An encoder that has no end the first time may have been on a busy machine; the second time,
        with twice the time, it is the image that it has no end with.
        """
        pixels = item.width * item.height
        memory = await self._memory.take(pixels * BYTES_A_PIXEL)
        held = self._run.budget.hold(_COPIES * len(item.body))
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._made, item.body, pixels, seconds
            )
        except TooSlow as error:
            if item.attempts:
                raise JxlError("no-end", str(error)) from error
            raise TooSlow(f"{item.image_id}: {error}") from error
        except EncodeInterrupted as error:
            raise EncodeInterrupted(f"{item.image_id}: {error}") from error
        finally:
            self._run.budget.give_back(held)
            self._memory.give_back(memory)

    def _made(self, body: bytes, pixels: int, seconds: float) -> bytes:
        return self._codec.encode(body, effort=self._effort, pixels=pixels, seconds=seconds)

    def replace_body(self, item: ImageItem, encoded: bytes) -> None:
        """Put the JPEG XL on the item, with the checksum of the JPEG that it gives back."""
        item.sha256_jpeg = hashlib.sha256(item.body).digest()
        super().replace_body(item, encoded)

    def end_encoders(self) -> None:
        """End the workers."""
        self._codec.kill()

    def close_spider(self) -> None:
        """End the workers and wait for them, which is soon."""
        super().close_spider()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._codec.close()
