"""The EXIF and XMP pipelines around the pure writers."""

from __future__ import annotations

import logging
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from scrapy.utils.test import get_crawler

from mapillary_crawler.image import jpeg
from mapillary_crawler.items import ImageItem
from mapillary_crawler.pipelines.exif import ExifPipeline
from mapillary_crawler.pipelines.xmp import XmpPipeline

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.pipelines.metadata import MetadataPipeline

BOTH = [ExifPipeline, XmpPipeline]


def picture() -> bytes:
    output = BytesIO()
    Image.new("RGB", (64, 32), (90, 120, 30)).save(output, "JPEG")
    return output.getvalue()


def item(body: bytes, **values: Any) -> ImageItem:
    return ImageItem(
        **{
            "number": 1,
            "image_id": "123",
            "url": "",
            "metadata": {"geometry": {"coordinates": [1, 2]}},
            "captured_at": 0,
            "day": "1970-01-01",
            "sequence": "s",
            "body": body,
        }
        | values
    )


@pytest.fixture
def crawler() -> Crawler:
    crawler = get_crawler()
    crawler.spider = SimpleNamespace(username="José")
    return crawler


def test_both_write_into_the_body(crawler: Crawler):
    image = item(picture())
    for pipeline in BOTH:
        assert pipeline.from_crawler(crawler).process_item(image) is image
    parsed = jpeg.parse(image.body)
    assert parsed.scan == jpeg.parse(picture()).scan
    assert "@José".encode() in parsed.app1(jpeg.EXIF)[0]
    assert "@José".encode() in parsed.app1(jpeg.XMP)[0]
    assert crawler.stats.get_value("metadata/exif_written") == 1
    assert crawler.stats.get_value("metadata/xmp_written") == 1


@pytest.mark.parametrize("kind", BOTH)
def test_damaged_image_stays_as_served(crawler: Crawler, kind: type[MetadataPipeline]):
    image = item(picture(), damaged=True)
    kind.from_crawler(crawler).process_item(image)
    assert image.body == picture()


@pytest.mark.parametrize("kind", BOTH)
def test_image_that_takes_no_metadata_is_kept_counted_and_named(
    crawler: Crawler, kind: type[MetadataPipeline], caplog: pytest.LogCaptureFixture
):
    pipeline = kind.from_crawler(crawler)
    odd = picture()[:20] + b"odd" + picture()[20:]
    for number in ("123", "456"):
        image = item(odd, image_id=number)
        assert pipeline.process_item(image) is image
        assert image.body == odd
    counted = f"metadata/{kind.kind}_failed/no marker after a segment"
    assert crawler.stats.get_value(counted) == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "saved as served: no marker after a segment: image 123" in caplog.text
    caplog.clear()
    pipeline.close_spider()
    assert "2 in all" in caplog.text


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(ExifPipeline, jpeg.EXIF + b"\0rubbish"), (XmpPipeline, jpeg.XMP + b"rubbish")],
)
def test_metadata_of_the_file_that_had_to_go_is_said(
    crawler: Crawler,
    kind: type[MetadataPipeline],
    payload: bytes,
    caplog: pytest.LogCaptureFixture,
):
    body = jpeg.parse(picture()).with_app1(payload, instead_of=lambda _: False)
    kind.from_crawler(crawler).process_item(item(body))
    assert "unreadable, replaced: image 123" in caplog.text
    trouble = f"metadata/{kind.kind}_trouble/{kind.kind.upper()} of the file unreadable, replaced"
    assert crawler.stats.get_value(trouble) == 1
