"""Probes: whether an image known to exist still comes, when many others do not."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from scrapy import Request

from mapillary_crawler.collection.outcome import EndOfRun, RunStopped
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.crawl.transfer.bodies import most_bytes
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.image import jpeg

if TYPE_CHECKING:
    from mapillary_crawler.crawl.run import Run

logger = logging.getLogger(__name__)

#: Seconds that the image may take.
_SECONDS = 30


async def comes(run: Run, image_id: str) -> bool:
    """Fetch an image by its id, from the service and the CDN, and say whether it comes.

    Raises `RunStopped` where a stop may be why it does not.
    """
    try:
        if await _comes(run, image_id):
            return True
    except EndOfRun as end:
        run.end(end)
    if run.closing():
        raise RunStopped
    return False


async def is_named(run: Run, image_id: str) -> bool:
    """Say whether the service still names an image; raises `EndOfRun`, `RunStopped`."""
    return (await _ask(run, image_id, ("id",))).meaning is Meaning.DATA


async def _ask(run: Run, image_id: str, fields: tuple[str, ...]) -> Answer:
    base = run.collection.configuration.api_url
    return await run.client.ask(graph_api.entity_url(base, image_id, fields))


async def _comes(run: Run, image_id: str) -> bool:
    quality = run.collection.collection.quality
    field = graph_api.thumb_field(quality)
    answer = await _ask(run, image_id, ("id", field))
    image = graph_rows.image_url(answer.data.get(field))
    if answer.meaning is not Meaning.DATA or image is None or run.closing():
        return False
    maxsize = run.crawler.settings.getint("DOWNLOAD_MAXSIZE")
    meta = {
        "verbatim_url": True,
        "download_slot": slots.PROBE,
        "download_timeout": _SECONDS,
        "download_maxsize": most_bytes(quality, maxsize),
    }
    taken = run.budget.take_at_once()
    try:
        request = Request(image, meta=meta, dont_filter=True)
        response = await run.crawler.engine.download_async(request)
    except Exception as error:  # noqa: BLE001  whatever it is, the CDN is not proven well
        logger.debug("A known image does not come either: %s", type(error).__name__)
        return False
    finally:
        run.budget.give_back(taken)
    return response.status == 200 and (
        response.body.startswith(jpeg.START) or await _was_saved(run, image_id, response.body)
    )


async def _was_saved(run: Run, image_id: str, body: bytes) -> bool:
    """Say whether an image was saved from this body, which is in another format than JPEG.

    Any other may be a placeholder.
    """
    digest = hashlib.sha256(body).digest()
    return await run.ledger.ask(lambda ledger: ledger.images.was_served(image_id, digest))
