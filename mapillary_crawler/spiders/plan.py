"""Lists a user's images and fetches a sample; the crawl goes on from there."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from typing import ClassVar

from scrapy import Request
from scrapy.http import Response

from mapillary_crawler.archive.internet_archive import presence as archive_org
from mapillary_crawler.collection.names import QUALITIES
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl import already_there
from mapillary_crawler.crawl.feeder import image_item
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.plan.contents import Plan, Sample, count_kinds
from mapillary_crawler.crawl.transfer import bodies, slots
from mapillary_crawler.crawl.transfer.downloader import downloader_of
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.graph.answers import Meaning
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DueImage, SampledImage
from mapillary_crawler.spiders.user import UserSpider

#: Images of the sample.
_IMAGES = 20
#: Files that are fetched at once to be weighed only.
_AT_ONCE = 8


class PlanSpider(UserSpider):
    """The same listing; of the images only a sample, of which those chosen count as saved."""

    #: Scrapy finds no spider without a name; it is run by `scrapy plan` alone, as `user`.
    name = ""
    #: The pipelines get the sample alone, so they are never waited for.
    ahead: ClassVar[int | None] = None

    def __init__(self, opened: OpenCollection) -> None:
        super().__init__(opened)
        self.plan: Plan | None = None
        self._sample = Sample()
        self._presence: archive_org.Presence | None = None

    async def _is_on_archive_org(self) -> bool:
        """Ask archive.org, and go on whatever it says."""
        if self.collection.selection or not self.run.collection.arguments.check_ia:
            return False
        self._presence = await already_there.presence(self.run)
        return False

    async def feed(self, response: Response) -> AsyncIterator[ImageItem]:
        """Yield the sample once everything is listed, then weigh it at the other qualities."""
        run = self.run
        with run.ends_by_errors():
            while self._lister.open:
                await run.sleep(0.2)
            urls = await self._urls()
            began = time.monotonic()
            for item in await self._draw(urls):
                yield item
            while await run.ledger.ask(lambda ledger: ledger.queue.drawn):
                await run.sleep(0.1)
            self._sample.seconds = time.monotonic() - began
            await self._weigh(urls)
            if not run.closing():
                self.plan = await run.ledger.ask(self._gather)

    async def _urls(self) -> dict[SampledImage, dict[str, str]]:
        """Return the sampled images with their URLs by quality, fresh from the service."""
        images = await self.run.ledger.ask(lambda ledger: ledger.survey.spread(_IMAGES))
        base = self.run.collection.configuration.api_url
        fields = ("id", *map(graph_api.thumb_field, QUALITIES))
        plain = [image.image_id for image in images if image.image_id.isdecimal()]
        entities = {}
        if plain:
            answer = await self.run.client.ask(graph_api.batch_url(base, plain, fields))
            entities = answer.data if answer.meaning is Meaning.DATA else {}
        found = {}
        for image in images:
            entity = entities.get(image.image_id)
            if not isinstance(entity, dict) or "error" in entity:
                url = graph_api.entity_url(base, image.image_id, fields)
                alone = await self.run.client.ask(url)
                if alone.meaning is not Meaning.DATA:
                    continue
                entity = alone.data
            urls = {name: entity.get(graph_api.thumb_field(name)) for name in QUALITIES}
            usable = {name: graph_rows.image_url(url) for name, url in urls.items()}
            found[image] = {name: url for name, url in usable.items() if url}
            self._sample.without.update(name for name, url in usable.items() if not url)
        return found

    async def _draw(self, urls: dict[SampledImage, dict[str, str]]) -> list[ImageItem]:
        """Return items for those of the sample that are not saved yet."""
        wanted = {
            image.number: (offered[self.quality], graph_rows.url_expiry(offered[self.quality]))
            for image, offered in urls.items()
            if image.size is None and self.quality in offered
        }

        def draw(ledger: Ledger) -> list[DueImage]:
            ledger.queue.renew(wanted)
            return ledger.queue.draw_these(list(wanted))

        drawn = await self.run.ledger.ask(draw)
        self._sample.fetched = len(drawn)
        return [image_item(image) for image in drawn]

    async def _weigh(self, urls: dict[SampledImage, dict[str, str]]) -> None:
        """Measure the sample: as stored at the chosen quality, as served at the others."""
        numbers = [image.number for image in urls]
        stored = await self.run.ledger.ask(lambda ledger: ledger.survey.sizes(numbers))
        self._sample.fetched = min(self._sample.fetched, len(stored))
        self._sample.sizes[self.quality] = list(stored.values())
        downloader_of(self.crawler).set_concurrency(slots.SAMPLE, _AT_ONCE)
        for quality in QUALITIES:
            if quality != self.quality and not self.run.closing():
                offered = [found[quality] for found in urls.values() if quality in found]
                sizes = await asyncio.gather(*(self._size(quality, url) for url in offered))
                self._sample.sizes[quality] = [size for size in sizes if size is not None]

    async def _size(self, quality: str, url: str) -> int | None:
        """Return the bytes of a file on the CDN, None if it did not come."""
        meta = {
            "verbatim_url": True,
            "download_slot": slots.SAMPLE,
            "download_timeout": 120,
            "download_maxsize": bodies.most_bytes(
                quality, self.settings.getint("DOWNLOAD_MAXSIZE")
            ),
        }
        taken = await self.run.budget.take(bodies.EXPECTED_BYTES[quality])
        try:
            response = await self.crawler.engine.download_async(
                Request(url, dont_filter=True, meta=meta)
            )
        except RunStopped:
            raise
        except Exception:  # noqa: BLE001  whatever ended the transfer
            return None
        finally:
            self.run.budget.give_back(taken)
        return len(response.body) if response.status == 200 else None

    def _gather(self, ledger: Ledger) -> Plan:
        """Gather all that is known, and leave the listing to the crawl."""
        balance, _ = ledger.survey.progress()
        ledger.facts.set(planned=balance.saved)
        kinds = count_kinds(ledger.survey.rows())
        extent = ledger.survey.extent()
        opened = self.run.collection
        disk = shutil.disk_usage(opened.folder)
        return Plan(
            opened.collection, extent, kinds, balance, self._sample, self._presence,
            free=max(0, disk.free - opened.configuration.min_free_bytes) if disk.total else None,
            siblings=opened.siblings(),
            tar=opened.tar,
            tar_max_bytes=opened.tar_max_bytes,
        )  # fmt: skip
