"""Where the values of settings come from, in words."""

from __future__ import annotations

from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings

from mapillary_crawler.collection.configuration_file import SETTINGS, origin_of

_WORDS = {"environment": "the environment", "default": "its default"}


def origin(settings: BaseSettings, name: str) -> str:
    """Say where the value in force of a setting of ours is from; a file by its path."""
    if (settings.getpriority(name) or 0) >= SETTINGS_PRIORITIES["cmdline"]:
        return "the command line"
    found = origin_of(name)
    return _WORDS.get(found, found)


def set_by_somebody(settings: BaseSettings) -> dict[str, str]:
    """Return where the values of ours are from that are no defaults, by the settings' names."""
    found = {name: origin(settings, name) for name in sorted(SETTINGS)}
    return {name: where for name, where in found.items() if where != _WORDS["default"]}
