"""Which settings a client of a Scrapyd server may give a job.

The token belongs to the server, the settings to whoever schedules. Scrapy has settings that
load code, open a port to the process (telnet console), keep requests (HTTP cache) or leave
certificates unchecked; each would be a way to the token. So a job takes the project's own
settings, Scrapy's numbers, the log level, the job folder, and what Scrapyd adds itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings, default_settings

from mapillary_crawler.collection.configuration import is_below

_JOB = "_job="


def withhold(
    given: Sequence[str],
    arguments: Sequence[str],
    settings: BaseSettings,
    environment: Mapping[str, str],
) -> tuple[list[str], list[str]]:
    """Return the settings to use, and the names of those that a client may not schedule.

    `given` are settings and `arguments` spider arguments, both as NAME=VALUE; `settings` are
    the project's, before any was given. A crawl that Scrapyd did not start (it names a job)
    may have them all.
    """
    jobs = [argument.removeprefix(_JOB) for argument in arguments if argument.startswith(_JOB)]
    if not jobs:
        return list(given), []
    kept, withheld = [], []
    for setting in given:
        name, assigned, value = setting.partition("=")
        if not assigned or _may_schedule(name, value, jobs[-1], settings, environment):
            kept.append(setting)
        else:
            withheld.append(name)
    return kept, withheld


def _may_schedule(
    name: str, value: str, job: str, settings: BaseSettings, environment: Mapping[str, str]
) -> bool:
    match name:
        case "LOG_LEVEL":
            return True
        case "LOG_FILE":
            return _is_scrapyds(value, f"{job}.log")
        case "JOBDIR":
            root = environment.get("MAPILLARY_STORE_ROOT")
            return not root or _is_scrapyds(value, job) or is_below(Path(value), Path(root))
        case "FEEDS":
            return _is_scrapyds_feed(value, f"{job}.jl")
    if not hasattr(default_settings, name):
        return settings.getpriority(name) == SETTINGS_PRIORITIES["project"]
    return _is_number(value, settings[name])


def _is_scrapyds(path: str, name: str) -> bool:
    """Say whether a path can be Scrapyd's: {folder}/{project}/{spider}/{name}."""
    return path.endswith(f"/user/{name}")


def _is_scrapyds_feed(value: str, name: str) -> bool:
    """Say whether these are the FEEDS of Scrapyd's `items_dir`: one file of JSON lines."""
    try:
        feeds = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(feeds, dict)
        and list(feeds.values()) == [{"format": "jsonlines"}]
        and all(_is_scrapyds(place, name) for place in feeds)
    )


def _is_number(value: str, default: object) -> bool:
    """Say whether the default is a number and the value reads as one of its kind."""
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        return False
    try:
        type(default)(value)
    except ValueError:
        return False
    return True
