"""Asks archive.org whether it has a collection already."""

from __future__ import annotations

import logging

from scrapy import Request

from mapillary_crawler.archive.internet_archive.presence import (
    Presence,
    metadata_url,
    read_presence,
)
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.crawl.transfer import slots

logger = logging.getLogger(__name__)

#: Seconds that archive.org has for an answer.
_SECONDS = 10
#: Seconds before it is asked again: a gateway's hiccup must not cost a crawl of terabytes that
#: archive.org has, nor may an archive.org that is away hold one up.
_WAITS = (1, 3)


async def presence(run: Run) -> Presence:
    """Return what archive.org says of the run's item, asked again where that is nothing usable."""
    for wait in _WAITS:
        found = await _ask(run)
        if found is not Presence.UNKNOWN:
            return found
        await run.sleep(wait)
    return await _ask(run)


async def _ask(run: Run) -> Presence:
    opened = run.collection
    url = metadata_url(opened.configuration.archive_org_url, opened.collection.identifier)
    meta = {"download_slot": slots.ARCHIVE_ORG, "download_timeout": _SECONDS}
    try:
        response = await run.crawler.engine.download_async(
            Request(url, dont_filter=True, meta=meta)
        )
    except Exception as error:  # noqa: BLE001  whatever ended the transfer
        logger.debug("archive.org: %s", type(error).__name__)
        return Presence.UNKNOWN
    return read_presence(response.status, response.body)
