"""Whether a body that is no JPEG like others is an image all the same."""

from __future__ import annotations

import logging

from scrapy.http import Response

from mapillary_crawler.crawl import placeholders
from mapillary_crawler.crawl.run import Run
from mapillary_crawler.image.inspection import DamagedImage, NotAnImage, State, Verdict
from mapillary_crawler.image.other_formats import size_fault
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.other_formats import SHARED
from mapillary_crawler.ledger.records import Bare

logger = logging.getLogger(__name__)


async def accept(run: Run, item: ImageItem, verdict: Verdict, response: Response) -> None:
    """Take a body for the image, or raise `NotAnImage` or `DamagedImage` saying why not."""
    if verdict.extension != "jpg":
        await _accept_other_format(run, item, verdict)
    elif verdict.state is State.NO_END:
        await _accept_without_end(run, item, verdict, all_came=_says_its_length(response))


def _says_its_length(response: Response) -> bool:
    """Say whether the answer said how long its body is, and it is."""
    return response.headers.get("Content-Length") == b"%d" % len(response.body)


async def _accept_without_end(
    run: Run, item: ImageItem, verdict: Verdict, *, all_came: bool
) -> None:
    """Cameras and phones leave the end marker out (Samsung) or put zeros before it (DJI).

    So may a transfer that was cut; where nothing tells, the same bytes have to come twice.
    """
    number, sha256 = item.number, verdict.sha256
    if not all_came and not await run.ledger.ask(
        lambda ledger: ledger.queue.is_noted(number, sha256)
    ):
        raise DamagedImage(f"{verdict.reason}; saved if the same bytes come once more")
    logger.warning("Image %s: %s; all its pixels are there, saved", item.image_id, verdict.reason)


async def _accept_other_format(run: Run, item: ImageItem, verdict: Verdict) -> None:
    """Tell the image from a placeholder, which has one size and one content for all images."""
    kind, size = verdict.extension.upper(), (verdict.width, verdict.height)
    fault = size_fault(size, run.collection.collection.quality, item.metadata)
    if fault is not None:
        raise NotAnImage(f"a {kind}: {fault}")
    if await placeholders.is_shared(run, item.number, verdict.sha256):
        raise NotAnImage(f"a {kind}: {SHARED}")
    item.extension, item.bare = verdict.extension, Bare.OTHER_FORMAT
    logger.debug("Image %s was served as %s", item.image_id, kind)
