"""Bodies that come for several images: placeholders of the CDN, and no image's own.

What was saved of one before it came for another is wanted again.
"""

from __future__ import annotations

import asyncio

from mapillary_crawler.collection import descent
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.ledger.other_formats import SHARED


async def is_shared(run: Run, number: int, sha256: bytes) -> bool:
    """Note a body in another format that came for an image; say whether it came for others."""
    shared: bool = await run.ledger.ask(lambda ledger: ledger.other_formats.came(number, sha256))
    if shared:
        await withdraw(run, sha256)
    return shared


async def withdraw(run: Run, sha256: bytes) -> None:
    """Want the images again that were saved with a body, if it came for several.

    Their files go first: of an image without its file the finish finds out, and a file that no
    image has would stay.
    """
    saved = await run.ledger.ask(lambda ledger: ledger.other_formats.shared(sha256))
    for image in saved:
        await asyncio.to_thread(descent.unlink, run.collection.folder, image.member)
    if saved:
        numbers = [image.number for image in saved]
        await run.ledger.ask(lambda ledger: ledger.images.unsettle(numbers, SHARED))
