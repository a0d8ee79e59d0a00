"""The JPEG XL pipeline: what gives back its JPEG is stored, all else stays one."""

from __future__ import annotations

import asyncio
import hashlib
import math
import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from scrapy.exceptions import DropItem, NotConfigured

from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.crawl.encoding import JxlEncoding, WebpEncoding
from mapillary_crawler.image import exif, webp
from mapillary_crawler.image.encoders import Encoder
from mapillary_crawler.image.jxl_codec import MAX_PIXELS, Decoder, installed_encoder
from mapillary_crawler.items import ImageItem
from mapillary_crawler.pipelines import jxl as module
from mapillary_crawler.pipelines.jxl import JxlPipeline
from tests.image.jxl_codecs import KINDS, is_running, needs_pylibjxl, programs
from tests.image.jxl_mutations import given_back

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.ledger.records import FailedAttempt

PYLIBJXL = Encoder("pylibjxl", "any")
HANGS = "touch started.$$; sleep 600"


def picture(mode: str = "RGB") -> bytes:
    output = BytesIO()
    Image.linear_gradient("L").convert(mode).save(output, "JPEG")
    return exif.write(output.getvalue(), {}, captured_at=0, username="ada").data


def item(body: bytes | None = None, **values: Any) -> ImageItem:
    return ImageItem(
        **{
            "number": 1, "image_id": "123", "url": "", "metadata": {}, "captured_at": 0,
            "day": "1970-01-01", "sequence": "s", "body": picture() if body is None else body,
            "width": 256, "height": 256,
        } | values
    )  # fmt: skip


def process(
    crawler: Crawler, image: ImageItem, encoder: Encoder = PYLIBJXL, **options: Any
) -> ImageItem:
    """Let one item through a pipeline of its own."""
    pipeline = JxlPipeline(crawler, JxlEncoding(encoder, 3), **options)
    try:
        return asyncio.run(pipeline.process_item(image))
    finally:
        pipeline.close_spider()


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what other processes do has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_jxl_takes_the_place_of_the_jpeg(crawler: Crawler, kind: str) -> None:
    crawler.spider.run.collection.encoding = JxlEncoding(installed_encoder(kind), 3)
    pipeline = JxlPipeline.from_crawler(crawler)
    image = item()
    assert asyncio.run(pipeline.process_item(image)) is image
    pipeline.close_spider()
    assert image.extension == "jxl"
    assert image.sha256_jpeg == hashlib.sha256(picture()).digest()
    assert len(image.body) < len(picture())
    with Decoder() as jpeg_of:
        assert jpeg_of(image.body) == picture()
    assert crawler.stats.get_value("jxl/encoded") == 1
    assert crawler.spider.run.budget.taken == 0


def test_not_configured_unless_asked_for(crawler: Crawler) -> None:
    for encoding in (None, WebpEncoding(webp.installed_encoder("pillow"), 75, 4)):
        crawler.spider.run.collection.encoding = encoding
        with pytest.raises(NotConfigured):
            JxlPipeline.from_crawler(crawler)


@pytest.mark.parametrize("values", [{"damaged": True}, {"bare": "no-place-for-metadata"}])
def test_what_is_not_as_it_should_be_stays(crawler: Crawler, values: dict[str, Any]) -> None:
    image = process(crawler, item(**values))
    assert (image.extension, image.body, image.sha256_jpeg) == ("jpg", picture(), None)
    assert not [key for key in crawler.stats.get_stats() if key.startswith("jxl/")]


@needs_pylibjxl
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (item(picture("CMYK")), "encoder-failed"),
        (item(picture()[:-100]), "encoder-failed"),
        (item(b"no JPEG"), "encoder-failed"),
        (item(width=MAX_PIXELS, height=2), "too-large"),
    ],
    ids=["CMYK", "cut", "no JPEG", "too large"],
)
def test_what_cannot_be_keeps_its_jpeg(
    crawler: Crawler, image: ImageItem, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = image.body
    process(crawler, image)
    assert (image.extension, image.body, image.sha256_jpeg) == ("jpg", body, None)
    assert crawler.stats.get_value(f"jxl/kept_jpeg/{reason}") == 1
    assert f"JPEG kept, {reason}: 123: " in caplog.text
    assert "1 in all" in caplog.text


def test_one_that_has_no_end_is_tried_again_and_then_keeps_its_jpeg(
    crawler: Crawler,
    failures: list[FailedAttempt],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A busy machine makes the same collection; an image that hangs ends with it all the same."""
    encoder = programs(tmp_path, monkeypatch, HANGS)
    with pytest.raises(DropItem, match="123: no end of the encode after 1 s"):
        process(crawler, item(), encoder, timeout=1)
    assert [(failed.number, failed.counts) for failed in failures] == [(1, True)]
    image = process(crawler, item(attempts=1), encoder, timeout=1)
    assert (image.extension, image.body) == ("jpg", picture())
    assert crawler.stats.get_value("jxl/kept_jpeg/no-end") == 1
    assert len(failures) == 1


def test_one_that_does_not_start_decides_nothing(
    crawler: Crawler, failures: list[FailedAttempt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Codec, "_command", lambda codec: [str(tmp_path / "absent")])
    with pytest.raises(DropItem, match="123: no encoder"):
        process(crawler, item(attempts=5))
    # The last attempt of this run; another run tries again.
    assert [failed.retry_at for failed in failures] == [math.inf]


@pytest.mark.parametrize("ending", ["kill_children", "close_spider"])
def test_stop_ends_workers_and_drops_their_items(
    crawler: Crawler,
    failures: list[FailedAttempt],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    encoder = programs(tmp_path, monkeypatch, HANGS)

    async def stop() -> list[Any]:
        pipeline = JxlPipeline(crawler, JxlEncoding(encoder, 3))
        tasks = [asyncio.create_task(pipeline.process_item(item())) for _ in range(20)]
        await until(lambda: len(list(tmp_path.glob("started.*"))) == usable_processors())
        getattr(pipeline, ending)()
        async with asyncio.timeout(60):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        pipeline.close_spider()
        return ends

    ends = asyncio.run(stop())
    assert [type(end) for end in ends] == [DropItem] * 20
    started = list(tmp_path.glob("started.*"))
    assert len(started) == usable_processors(), "never more at once, and none began after the stop"
    assert not any(is_running(int(path.suffix[1:])) for path in started)
    assert not [key for key in crawler.stats.get_stats() if key.startswith("jxl/")]
    assert failures == []
    assert crawler.spider.run.budget.taken == 0


def test_nothing_is_encoded_once_stopping(crawler: Crawler) -> None:
    crawler.spider.run.stopping.set()
    with pytest.raises(DropItem):
        process(crawler, item())


def test_copies_count_while_an_image_is_encoded(
    crawler: Crawler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other images wait for room; those that are encoded never do, or all would for each other."""
    encoder = programs(tmp_path, monkeypatch, f"{HANGS.split(';', maxsplit=1)[0]}; sleep 1; exit 1")
    budget = crawler.spider.run.budget

    async def encode() -> int:
        pipeline = JxlPipeline(crawler, JxlEncoding(encoder, 3))
        task = asyncio.create_task(pipeline.process_item(item()))
        await until(lambda: list(tmp_path.glob("started.*")))
        held: int = budget.taken
        await task
        pipeline.close_spider()
        return held

    assert asyncio.run(encode()) == 4 * len(picture())
    assert budget.taken == 0


def test_large_pictures_are_encoded_alone(
    crawler: Crawler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = programs(tmp_path, monkeypatch, HANGS)

    async def encode() -> None:
        pipeline = JxlPipeline(crawler, JxlEncoding(encoder, 3))
        large = {"width": 10_000, "height": 10_000}
        tasks = [asyncio.create_task(pipeline.process_item(item(**large))) for _ in range(3)]
        await until(lambda: list(tmp_path.glob("started.*")))
        await asyncio.sleep(1)
        pipeline.kill_children()
        await asyncio.gather(*tasks, return_exceptions=True)
        pipeline.close_spider()

    asyncio.run(encode())
    assert len(list(tmp_path.glob("started.*"))) == 1


def test_djxl_gives_back_what_is_stored(crawler: Crawler, tmp_path: Path) -> None:
    if shutil.which("djxl") is None:
        pytest.skip("djxl is not installed")
    image = process(crawler, item(), installed_encoder("auto"))
    assert given_back(image.body, tmp_path) == picture()
