"""An image known to exist: whether it still comes, when many others do not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy import Request

from mapillary_crawler.collection.outcome import EndOfRun, RunStopped
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Meaning
from mapillary_crawler.image import jpeg

if TYPE_CHECKING:
    from mapillary_crawler.spiders.user import UserSpider

logger = logging.getLogger(__name__)

#: Slot of its own, and seconds that it may take.
_SLOT, _SECONDS = "witness", 30


async def comes(spider: UserSpider, image_id: str) -> bool:
    """Fetch an image by its id, from the service and the CDN, and say whether it comes.

    Raises `RunStopped` where a stop may be why it does not.
    """
    try:
        if await _comes(spider, image_id):
            return True
    except EndOfRun as end:
        spider.end(end)
    if spider.closing():
        raise RunStopped("the crawl is being stopped")
    return False


async def _comes(spider: UserSpider, image_id: str) -> bool:
    field = graph_api.thumb_field(spider.quality)
    url = graph_api.entity_url(spider.staging.configuration.api_url, image_id, ("id", field))
    answer = await spider.client.ask(url)
    image = graph_rows.image_url(answer.data.get(field))
    if answer.meaning is not Meaning.DATA or image is None or spider.closing():
        return False
    meta = {"verbatim_url": True, "download_slot": _SLOT, "download_timeout": _SECONDS}
    try:
        request = Request(image, meta=meta, dont_filter=True)
        response = await spider.crawler.engine.download_async(request)
    except Exception as error:  # noqa: BLE001  whatever it is, the CDN is not proven well
        logger.debug("A known image does not come either: %s", type(error).__name__)
        return False
    return response.status == 200 and response.body.startswith(jpeg.START)
