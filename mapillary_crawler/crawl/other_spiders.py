"""Spiders that are not this project's, run in it: they find Scrapy as it is by default."""

from __future__ import annotations

from typing import Self

from scrapy.crawler import Crawler
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings, default_settings

from mapillary_crawler import settings as project
from mapillary_crawler.crawl.run import RunSpider

#: What holds for every spider here: names, what is logged, and what keeps a token from others.
_OF_ALL = frozenset(
    {
        "ADDONS",
        "BOT_NAME",
        "COMMANDS_MODULE",
        "DOWNLOAD_VERIFY_CERTIFICATES",
        "FEED_EXPORT_ENCODING",
        "LOG_LEVEL",
        "NEWSPIDER_MODULE",
        "REMOTE_CONTROL_ENABLED",
        "SPIDER_MODULES",
        "TELNETCONSOLE_ENABLED",
    }
)
#: What stands for no value at all.
_NOTHING = object()


class OtherSpiders:
    """The add-on that gives them back what settings.py changes for the spiders of a run.

    What somebody else has set or added stays. Components of the run are no matter here: where
    they are kept by whoever sets ADDONS anew, `run_of` leaves them unconfigured.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._is_ours = issubclass(crawler.spidercls, RunSpider)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Look at the crawler's spider."""
        return cls(crawler)

    def update_settings(self, settings: BaseSettings) -> None:
        """Take back what is this project's alone."""
        if self._is_ours:
            return
        for name in dir(project):
            if not name.isupper() or name in _OF_ALL or not hasattr(default_settings, name):
                continue
            if settings.getpriority(name) == SETTINGS_PRIORITIES["project"]:
                _take_back(name, settings)


def _take_back(name: str, settings: BaseSettings) -> None:
    ours, now, default = getattr(project, name), settings[name], getattr(default_settings, name)
    if isinstance(ours, dict):
        left = {key: value for key, value in now.items() if ours.get(key, _NOTHING) != value}
        settings.set(name, {**default, **left}, priority="project")
    elif now == ours:
        settings.set(name, default, priority="project")
