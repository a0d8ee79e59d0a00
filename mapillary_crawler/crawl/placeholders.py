"""Bodies that come for several images: placeholders of the CDN, and no image's own.

What was saved of one before it came for another is wanted again.
"""

from __future__ import annotations

import asyncio

from mapillary_crawler.collection import descent
from mapillary_crawler.crawl.open_collection import OpenCollection

#: Why such a body is not saved.
SHARED = "the same body came for another image as well: a placeholder"


async def is_shared(collection: OpenCollection, number: int, sha256: bytes) -> bool:
    """Note a body in another format that came for an image; say whether it came for others."""
    shared: bool = await collection.thread.call(
        collection.ledger.other_formats.came, number, sha256
    )
    if shared:
        await withdraw(collection, sha256)
    return shared


async def withdraw(collection: OpenCollection, sha256: bytes) -> None:
    """Want the images again that were saved with a body, if it came for several.

    Their files go first: of an image without its file the finish finds out, and a file that no
    image has would stay.
    """
    ledger, call = collection.ledger, collection.thread.call
    saved = await call(ledger.other_formats.shared, sha256)
    for image in saved:
        await asyncio.to_thread(descent.unlink, collection.folder, image.member)
    if saved:
        await call(ledger.images.unsettle, [image.number for image in saved], SHARED)
