"""The spider by itself: whose pages it takes."""

from __future__ import annotations

import asyncio

from scrapy.http import Response

from mapillary_crawler.collection import Collection
from mapillary_crawler.spiders.user import UserSpider


def test_a_page_that_another_collection_left_in_the_job_folder_is_ignored() -> None:
    """It has no client and no ledger here, so to read the page would fail."""
    spider = UserSpider.__new__(UserSpider)
    spider.collection = Collection("bob", "256")
    page = Response("https://api.example.org/images", body=b'{"data": [{"id": "1"}]}')
    for collection in ("mapillary-alice-256", ""):
        asyncio.run(spider.parse_page(page, None, 25, collection))
