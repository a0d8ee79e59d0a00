"""What a run needs of Scrapy's settings: asyncio's reactor, and the project's own components.

Somebody's own may stand beside these. A component of the project counts by its class, so that a
subclass may take its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapy.settings import Settings
from scrapy.utils.misc import load_object
from scrapy.utils.reactor import is_asyncio_reactor_installed, is_reactor_installed

from mapillary_crawler import settings as project
from mapillary_crawler.collection.outcome import ArgumentRefused

_ASYNCIO = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
#: Without the other extensions a run has no display, no log of its own, or a fixed concurrency.
_NEEDED_EXTENSIONS = (
    "mapillary_crawler.extensions.secrets.Secrets",
    "mapillary_crawler.extensions.ending.Ending",
)
#: What has to be there, by its setting, and what has to stay away.
_NEEDED: Mapping[str, Mapping[str, Any]] = {
    "ITEM_PIPELINES": project.ITEM_PIPELINES,
    "DOWNLOADER_MIDDLEWARES": project.DOWNLOADER_MIDDLEWARES,
    "SPIDER_MIDDLEWARES": project.SPIDER_MIDDLEWARES,
    "DOWNLOAD_HANDLERS": project.DOWNLOAD_HANDLERS,
    "EXTENSIONS": {name: project.EXTENSIONS[name] for name in _NEEDED_EXTENSIONS},
}


def check_scrapy_settings(settings: Settings) -> None:
    """Raise `ArgumentRefused` for settings by which a run would wait for ever or break its word."""
    _check_reactor(settings)
    if not _is_a(settings["DOWNLOADER"], project.DOWNLOADER):
        raise ArgumentRefused(
            f"DOWNLOADER {settings['DOWNLOADER']} is no {project.DOWNLOADER}, which alone keeps "
            "the limits of this project; leave the setting as it is"
        )
    for name, needed in _NEEDED.items():
        given = settings.getwithbase(name)
        for path, value in needed.items():
            _check_component(name, path, value, _value(path, given))
    _check_order(settings.getwithbase("ITEM_PIPELINES"))


def _check_reactor(settings: Settings) -> None:
    """Refuse another reactor than asyncio's, or none: requests would fail one after another."""
    name = "TWISTED_REACTOR"
    if not settings.getbool("TWISTED_REACTOR_ENABLED"):
        return
    if is_reactor_installed():
        is_right = is_asyncio_reactor_installed()
    else:
        is_right = settings[name] == _ASYNCIO
    if not is_right:
        raise ArgumentRefused(
            f"the reactor is not asyncio's, which a crawl needs: leave {name} as it is, and in a "
            f"script install_reactor({_ASYNCIO!r}) before twisted.internet.reactor is imported"
        )


def _check_component(name: str, path: str, needed: Any, given: Any) -> None:
    if needed is None and given is not None:
        raise ArgumentRefused(
            f"{name} switches {path} on, which this project does without; add your own to what "
            "settings.py has, see docs/extending.md"
        )
    is_there = _is_a(given, needed) if isinstance(needed, str) else given is not None
    if needed is not None and not is_there:
        what = needed if isinstance(needed, str) else path
        raise ArgumentRefused(
            f"{name} lacks {what}, without which nothing can be promised; add your own to what "
            "settings.py has, see docs/extending.md"
        )


def _check_order(given: Mapping[Any, Any]) -> None:
    """Refuse the stages of an image in another order: their numbers may differ."""
    numbers = [_value(path, given) for path in project.ITEM_PIPELINES]
    if numbers != sorted(numbers):
        raise ArgumentRefused(
            "ITEM_PIPELINES has the project's stages in another order; keep that of settings.py"
        )


def _value(path: str, given: Mapping[Any, Any]) -> Any:
    """Return what a component's setting has for a class or a subclass, None where it lacks it."""
    if path in given:
        return given[path]
    return next((value for key, value in given.items() if _is_a(key, path)), None)


def _is_a(given: Any, path: str) -> bool:
    """Say whether a class, or the path of one, is that of `path` or below it."""
    if given == path:
        return True
    try:
        found = load_object(given)
    except (ImportError, NameError, TypeError, ValueError):
        return False  # no path of Python's; or Scrapy itself will say that it is not there
    return isinstance(found, type) and issubclass(found, load_object(path))
