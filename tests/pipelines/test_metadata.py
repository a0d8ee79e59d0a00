"""The EXIF and XMP pipelines around the pure writers."""

from __future__ import annotations

import asyncio
import logging
import threading
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from scrapy.utils.test import get_crawler

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.image import jpeg
from mapillary_crawler.items import ImageItem
from mapillary_crawler.ledger.records import Bare
from mapillary_crawler.pipelines.exif import ExifPipeline
from mapillary_crawler.pipelines.metadata import app1_bytes
from mapillary_crawler.pipelines.xmp import XmpPipeline
from tests.runs import plain_run, spider_of

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


def processed(pipeline: MetadataPipeline, image: ImageItem) -> ImageItem:
    return asyncio.run(pipeline.process_item(image))


@pytest.fixture
def crawler() -> Crawler:
    crawler = get_crawler()
    crawler.spider = spider_of(plain_run(collection=Collection("José")))
    return crawler


def test_both_write_into_the_body(crawler: Crawler):
    image = item(picture())
    for pipeline in BOTH:
        assert processed(pipeline.from_crawler(crawler), image) is image
    parsed = jpeg.parse(image.body)
    assert parsed.scan == jpeg.parse(picture()).scan
    assert "@José".encode() in parsed.app1(jpeg.EXIF)[0]
    assert "@José".encode() in parsed.app1(jpeg.XMP)[0]
    assert crawler.stats.get_value("metadata/exif_written") == 1
    assert crawler.stats.get_value("metadata/xmp_written") == 1


@pytest.mark.parametrize("kind", BOTH)
def test_damaged_image_stays_as_served(crawler: Crawler, kind: type[MetadataPipeline]):
    image = item(picture(), damaged=True)
    processed(kind.from_crawler(crawler), image)
    assert image.body == picture()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("reason", [*Bare])
def test_image_in_another_format_or_without_a_place_stays_as_it_is(
    crawler: Crawler, kind: type[MetadataPipeline], reason: str
):
    image = item(b"\x89PNG", bare=reason)
    assert processed(kind.from_crawler(crawler), image) is image
    assert (image.body, image.bare) == (b"\x89PNG", reason)


@pytest.mark.parametrize("kind", BOTH)
def test_image_that_takes_no_metadata_is_kept_counted_and_named(
    crawler: Crawler, kind: type[MetadataPipeline], caplog: pytest.LogCaptureFixture
):
    pipeline = kind.from_crawler(crawler)
    odd = picture()[:20] + b"\xff\xfe\0\2" * 5000 + picture()[20:]
    for number in ("123", "456"):
        image = item(odd, image_id=number)
        assert processed(pipeline, image) is image
        assert image.body == odd
        assert image.bare == Bare.NO_PLACE
    counted = f"metadata/{kind.kind}_failed/too many segments"
    assert crawler.stats.get_value(counted) == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "written: too many segments: image 123" in caplog.text
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
    processed(kind.from_crawler(crawler), item(body))
    assert "unreadable, replaced: image 123" in caplog.text
    trouble = f"metadata/{kind.kind}_trouble/{kind.kind.upper()} of the file unreadable, replaced"
    assert crawler.stats.get_value(trouble) == 1


def with_app1(*sizes: int) -> bytes:
    """Return a picture with APP1 segments of so many bytes, their length included."""
    segments = [b"\xff\xe1" + size.to_bytes(2, "big") + b"q" * (size - 2) for size in sizes]
    return picture()[:2] + b"".join(segments) + picture()[2:]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("sizes", "on_the_reactor_s"),
    [((), True), ((4_000, 4_000), True), ((50_000,), False), ((900,) * 10, False)],
)
def test_large_metadata_of_a_file_is_not_parsed_on_the_reactor_s_thread(
    crawler: Crawler,
    kind: type[MetadataPipeline],
    monkeypatch: pytest.MonkeyPatch,
    sizes: tuple[int, ...],
    on_the_reactor_s: bool,
):
    threads = []

    def write(self: MetadataPipeline, image: ImageItem) -> Any:
        threads.append(threading.current_thread())
        return image.body, []

    monkeypatch.setattr(kind, "write", write)
    processed(kind.from_crawler(crawler), item(with_app1(*sizes)))
    assert (threads == [threading.main_thread()]) is on_the_reactor_s


def test_bytes_of_metadata_are_counted_up_to_the_scan():
    whole = with_app1(100, 65_535)
    assert app1_bytes(whole) == 65_635
    assert app1_bytes(picture()) == 0
    for length in range(300):
        assert app1_bytes(whole[:length]) <= 65_635
    assert all(app1_bytes(body) <= len(body) for body in (b"", b"\xff\xd8", b"GIF89a"))
    for stray in (b"\0", b"\xff\xe1\0\0", b"\xff"):
        assert app1_bytes(whole[:2] + stray + whole[2:]) >= 65_635


def test_hostile_xmp_leaves_the_reactor_its_turn(crawler: Crawler):
    """Attributes without end are the dearest XMP: 160 ms in one piece."""
    attributes = " ".join(f'q:a{number}="1"' for number in range(4_000))
    packet = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:q="http://q/" {attributes}/></rdf:RDF>'
    )
    body = jpeg.parse(picture()).with_app1(jpeg.XMP + packet.encode(), instead_of=lambda _: False)

    async def run() -> int:
        turns, image = (
            0,
            asyncio.ensure_future(XmpPipeline.from_crawler(crawler).process_item(item(body))),
        )
        while not image.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(run()) > 10
