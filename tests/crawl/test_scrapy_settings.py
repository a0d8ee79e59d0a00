"""What a run needs of Scrapy's settings is refused where it is not there."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy.settings import Settings

from mapillary_crawler import settings as project
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.crawl.scrapy_settings import check_scrapy_settings
from mapillary_crawler.extensions.ending import Ending
from mapillary_crawler.pipelines.storage import StoragePipeline

STORAGE = "mapillary_crawler.pipelines.storage.StoragePipeline"
WEBP = "mapillary_crawler.pipelines.webp.WebpPipeline"
RETRY = "scrapy.downloadermiddlewares.retry.RetryMiddleware"


class OwnStorage(StoragePipeline):
    """Somebody's own."""


def check(name: str = "LOG_LEVEL", value: Any = "INFO") -> None:
    settings = Settings()
    settings.setmodule(project)
    settings.set(name, value, priority="cmdline")
    check_scrapy_settings(settings)


def without(given: dict[str, Any], *left_out: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in left_out}


PIPELINES, EXTENSIONS = project.ITEM_PIPELINES, project.EXTENSIONS
MIDDLEWARES = project.DOWNLOADER_MIDDLEWARES
SECRETS = "mapillary_crawler.extensions.secrets.Secrets"
ENDING = "mapillary_crawler.extensions.ending.Ending"
TOKEN = "mapillary_crawler.middlewares.TokenMiddleware"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "DEBUG"),
        ("ITEM_PIPELINES", {**PIPELINES, "anybody.Else": 950, "before.All": 1}),
        ("ITEM_PIPELINES", {**without(PIPELINES, STORAGE), OwnStorage: 900}),
        ("EXTENSIONS", {SECRETS: 50, Ending: 900}),
        ("EXTENSIONS", {**EXTENSIONS, "scrapy.extensions.logstats.LogStats": 10}),
        ("TWISTED_REACTOR_ENABLED", False),
    ],
)
def test_one_s_own_may_stand_beside(name: str, value: Any) -> None:
    check(name, value)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ITEM_PIPELINES", {}, "lacks mapillary_crawler.pipelines.thumbnails.ThumbnailsPipeline"),
        ("ITEM_PIPELINES", '{"my.Own": 950}', "ITEM_PIPELINES lacks mapillary_crawler"),
        ("ITEM_PIPELINES", {**PIPELINES, STORAGE: None}, f"lacks {STORAGE}"),
        ("ITEM_PIPELINES", {**PIPELINES, WEBP: 950}, "in another order"),
        ("EXTENSIONS", {}, f"lacks {SECRETS}"),
        ("EXTENSIONS", without(EXTENSIONS, ENDING), f"lacks {ENDING}"),
        (
            "DOWNLOADER_MIDDLEWARES",
            without(MIDDLEWARES, TOKEN),
            f"lacks {TOKEN}",
        ),
        ("DOWNLOADER_MIDDLEWARES", without(MIDDLEWARES, RETRY), f"{RETRY} on"),
        ("SPIDER_MIDDLEWARES", {}, "switches scrapy.spidermiddlewares"),
        ("DOWNLOAD_HANDLERS", {}, "switches file on"),
        (
            "DOWNLOAD_HANDLERS",
            {
                **project.DOWNLOAD_HANDLERS,
                "https": "scrapy.core.downloader.handlers.http11.HTTP11DownloadHandler",
            },
            "lacks mapillary_crawler.crawl.transfer.download_handler.DownloadHandler",
        ),
        ("DOWNLOADER", "scrapy.core.downloader.Downloader", "keeps the limits"),
        ("DOWNLOADER", "no.Such", "keeps the limits"),
        ("TWISTED_REACTOR", "twisted.internet.selectreactor.SelectReactor", "not asyncio's"),
        ("TWISTED_REACTOR", None, "not asyncio's"),
    ],
)
def test_what_the_promise_depends_on_is_needed(
    name: str, value: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "mapillary_crawler.crawl.scrapy_settings"
    monkeypatch.setattr(f"{module}.is_reactor_installed", lambda: False)
    with pytest.raises(ArgumentRefused, match=why) as refused:
        check(name, value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("is_asyncio_s", [True, False])
def test_a_reactor_that_is_installed_counts(
    is_asyncio_s: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "mapillary_crawler.crawl.scrapy_settings"
    monkeypatch.setattr(f"{module}.is_reactor_installed", lambda: True)
    monkeypatch.setattr(f"{module}.is_asyncio_reactor_installed", lambda: is_asyncio_s)
    if is_asyncio_s:
        check()
    else:
        with pytest.raises(ArgumentRefused, match="install_reactor"):
            check()
