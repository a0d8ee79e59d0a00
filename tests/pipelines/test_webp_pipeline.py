"""The WebP pipeline: bounded, never losing an image, never deciding by an interruption."""

from __future__ import annotations

import asyncio
import math
import shutil
import stat
import threading
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from scrapy.exceptions import DropItem, NotConfigured

from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.crawl.encoding import WebpEncoding
from mapillary_crawler.image import exif, webp
from mapillary_crawler.items import ImageItem
from mapillary_crawler.pipelines.webp import WebpPipeline

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from mapillary_crawler.ledger.records import FailedAttempt

PILLOW = webp.installed_encoder("pillow")
needs_cwebp = pytest.mark.skipif(shutil.which("cwebp") is None, reason="cwebp is not installed")


def picture(mode: str = "RGB") -> bytes:
    output = BytesIO()
    Image.linear_gradient("L").convert(mode).save(output, "JPEG")
    return exif.write(output.getvalue(), {}, captured_at=0, username="ada").data


def item(body: bytes | None = None, **values: Any) -> ImageItem:
    return ImageItem(
        **{
            "number": 1,
            "image_id": "123",
            "url": "",
            "metadata": {},
            "captured_at": 0,
            "day": "1970-01-01",
            "sequence": "s",
            "body": picture() if body is None else body,
            "width": 256,
            "height": 256,
        }
        | values
    )


def pipeline_of(
    crawler: Crawler, encoder: webp.Encoder, *, quality: int = 75, method: int = 4, **options: Any
) -> WebpPipeline:
    encoding = WebpEncoding(encoder, quality, method)
    return WebpPipeline(crawler, encoding, **options)


def program(folder: Path, script: str) -> webp.Encoder:
    """Return an encoder of our own; it may leave files in `folder`."""
    path = folder / "cwebp"
    path.write_text(f"#!/bin/sh\ncd '{folder}'\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return webp.Encoder("cwebp", "0", str(path))


def kept(crawler: Crawler, image: ImageItem) -> str:
    """Return why the JPEG was kept; it must be whole."""
    assert (image.extension, image.body) == ("jpg", picture())
    (reason,) = (key for key in crawler.stats.get_stats() if key.startswith("webp/"))
    return reason.removeprefix("webp/kept_jpeg/")


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what other processes do has no event
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    # A process that has ended and is not yet reaped by init counts as ended.
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("choice", ["pillow", pytest.param("cwebp", marks=needs_cwebp)])
def test_webp_takes_the_place_of_the_jpeg(crawler: Crawler, choice: str):
    # What the ledger has fixed counts, whatever the settings say.
    crawler.spider.run.collection.encoding = WebpEncoding(webp.installed_encoder(choice), 60, 1)
    image = item()
    assert asyncio.run(WebpPipeline.from_crawler(crawler).process_item(image)) is image
    assert image.extension == "webp"
    webp.verify(image.body, picture())
    assert image.body != webp.encode_with_pillow(picture(), quality=75, method=4)
    if choice == "pillow":
        assert image.body == webp.encode_with_pillow(picture(), quality=60, method=1)
    assert crawler.stats.get_value("webp/encoded") == 1


def test_not_configured_unless_asked_for(crawler: Crawler):
    with pytest.raises(NotConfigured):
        WebpPipeline.from_crawler(crawler)


def test_damaged_image_is_never_webp(crawler: Crawler):
    image = item(damaged=True)
    asyncio.run(pipeline_of(crawler, PILLOW).process_item(image))
    assert (image.extension, image.body) == ("jpg", picture())


def test_side_too_long(crawler: Crawler, caplog: pytest.LogCaptureFixture):
    image = item(width=16_384)
    pipeline = pipeline_of(crawler, PILLOW)
    asyncio.run(pipeline.process_item(image))
    assert kept(crawler, image) == "too-large"
    assert "JPEG kept, too-large: 123: 16384 x 256 pixels" in caplog.text
    pipeline.close_spider()
    assert "1 in all" in caplog.text


@pytest.mark.parametrize("choice", ["pillow", pytest.param("cwebp", marks=needs_cwebp)])
def test_colours_that_webp_has_not(crawler: Crawler, choice: str):
    body = picture("CMYK")
    image = item(body)
    asyncio.run(pipeline_of(crawler, webp.installed_encoder(choice)).process_item(image))
    assert (image.extension, image.body) == ("jpg", body)
    assert crawler.stats.get_value("webp/kept_jpeg/encoder-failed") == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("cat > /dev/null; echo cannot >&2; exit 1", "encoder-failed"),
        ("exit 1", "encoder-failed"),
        ("kill -SEGV $$", "encoder-failed"),
        ("cat > /dev/null", "broken-output"),
        ("cat", "broken-output"),
    ],
)
def test_failed_encode_keeps_the_jpeg(crawler: Crawler, tmp_path: Path, script: str, reason: str):
    image = item()
    asyncio.run(pipeline_of(crawler, program(tmp_path, script)).process_item(image))
    assert kept(crawler, image) == reason


def test_encoder_that_hangs_is_ended_with_its_children(
    crawler: Crawler, failures: list[FailedAttempt], tmp_path: Path
):
    encoder = program(tmp_path, "echo $$ > pid; sleep 1000 & echo $! > child; wait")
    image = item()
    pipeline = pipeline_of(crawler, encoder, timeout=1)
    with pytest.raises(DropItem, match="no end of the encode after 1 s"):
        asyncio.run(pipeline.process_item(image))
    assert (image.extension, image.body) == ("jpg", picture())
    assert [failed.number for failed in failures] == [1], "tried again, and never kept as JPEG"
    for name in ("pid", "child"):
        pid = int((tmp_path / name).read_text())
        asyncio.run(until(lambda pid=pid: not is_running(pid)))


def test_encoder_that_does_not_start_decides_nothing(
    crawler: Crawler, failures: list[FailedAttempt], tmp_path: Path
):
    image = item()
    absent = webp.Encoder("cwebp", "0", str(tmp_path / "absent"))
    with pytest.raises(DropItem, match="no encoder"):
        asyncio.run(pipeline_of(crawler, absent).process_item(image))
    assert image.extension == "jpg"
    assert [(failed.number, failed.counts) for failed in failures] == [(1, True)]


def test_encoder_that_was_too_slow_is_given_more_time(crawler: Crawler, tmp_path: Path):
    """Once the machine is less busy, or after some attempts, it is the WebP that others have."""
    encoder = program(tmp_path, "sleep 1000")
    pipeline = pipeline_of(crawler, encoder, timeout=0.2)
    with pytest.raises(DropItem, match=r"after 0\.6 s"):
        asyncio.run(pipeline.process_item(item(attempts=2)))


def test_want_of_memory_is_not_the_image_s_fault(
    crawler: Crawler, failures: list[FailedAttempt], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(webp.JpegImagePlugin, "JpegImageFile", full)
    with pytest.raises(DropItem, match="no memory"):
        asyncio.run(pipeline_of(crawler, PILLOW).process_item(item()))
    assert [failed.number for failed in failures] == [1]


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "KILL"])
def test_encode_that_somebody_ended_decides_nothing(
    crawler: Crawler, failures: list[FailedAttempt], tmp_path: Path, name: str
):
    encoder = program(tmp_path, f"kill -{name} $$; sleep 10")
    with pytest.raises(DropItem, match="interrupted"):
        asyncio.run(pipeline_of(crawler, encoder).process_item(item(attempts=5)))
    # The last attempt of this run; another run tries again.
    assert [failed.retry_at for failed in failures] == [math.inf]


@pytest.mark.parametrize("ending", ["kill_children", "close_spider"])
def test_stop_ends_encoders_and_drops_their_items(
    crawler: Crawler, failures: list[FailedAttempt], tmp_path: Path, ending: str
):
    async def stop() -> list[Any]:
        encoder = program(tmp_path, "touch started.$$; sleep 1000")
        pipeline = pipeline_of(crawler, encoder)
        tasks = [asyncio.create_task(pipeline.process_item(item())) for _ in range(20)]
        await until(lambda: len(list(tmp_path.glob("started.*"))) == usable_processors())
        getattr(pipeline, ending)()
        async with asyncio.timeout(60):
            return await asyncio.gather(*tasks, return_exceptions=True)

    ends = asyncio.run(stop())
    assert [type(end) for end in ends] == [DropItem] * 20
    # Never more at once than processors, and none began after the stop.
    assert len(list(tmp_path.glob("started.*"))) == usable_processors()
    assert not [key for key in crawler.stats.get_stats() if key.startswith("webp/")]
    assert failures == []


def test_failure_while_stopping_keeps_no_jpeg(crawler: Crawler, tmp_path: Path):
    async def stop() -> None:
        encoder = program(tmp_path, "touch started; while [ ! -e go ]; do sleep 0.01; done; exit 1")
        task = asyncio.create_task(pipeline_of(crawler, encoder).process_item(item()))
        await until((tmp_path / "started").exists)
        crawler.spider.run.stopping.set()
        (tmp_path / "go").touch()
        await task

    with pytest.raises(DropItem, match="being stopped"):
        asyncio.run(stop())


def test_nothing_is_encoded_once_stopping(crawler: Crawler):
    crawler.spider.run.stopping.set()
    with pytest.raises(DropItem):
        asyncio.run(pipeline_of(crawler, PILLOW).process_item(item()))


def test_cancelled_encode_leaves_no_process(crawler: Crawler, tmp_path: Path):
    async def cancel() -> None:
        encoder = program(tmp_path, "echo $$ > pid; exec sleep 1000")
        task = asyncio.create_task(pipeline_of(crawler, encoder).process_item(item()))
        await until((tmp_path / "pid").exists)
        await until((tmp_path / "pid").read_text)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pid = int((tmp_path / "pid").read_text())
        await until(lambda: not is_running(pid))

    asyncio.run(cancel())


def test_reactor_is_free_while_pillow_encodes(crawler: Crawler, monkeypatch: pytest.MonkeyPatch):
    threads = []

    def encode(data: bytes, **options: int) -> bytes:
        threads.append(threading.current_thread())
        return real(data, **options)

    real = webp.encode_with_pillow
    monkeypatch.setattr(webp, "encode_with_pillow", encode)
    asyncio.run(pipeline_of(crawler, PILLOW).process_item(item()))
    assert threads != [threading.current_thread()]
