"""Which settings a client of a Scrapyd server may give a job.

The token belongs to the server, the settings to whoever schedules. Scrapy has settings that
load code, open a port to the process (telnet console), keep requests (HTTP cache) or leave
certificates unchecked; each would be a way to the token. So a job takes a closed list of the
project's own settings, Scrapy's numbers, the log level, the job folder, and what Scrapyd adds
itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import join
from urllib.parse import urlsplit

from scrapy.settings import BaseSettings, default_settings
from twisted.python.filepath import FilePath, InsecurePath
from w3lib.url import path_to_file_uri

from mapillary_crawler.collection.configuration import is_below

_JOB = "_job="
#: The project's settings that a job may have. Not among them is what names a program (ON_END) or
#: whom to trust (MAPILLARY_API_URL, ARCHIVE_ORG_URL and ARCHIVE_ORG_S3_URL), nor what fills another
#: disk where one is missing (NEW_STORE): that is the server's.
#: The folders are below MAPILLARY_STORE_ROOT, where the server has one.
SCHEDULABLE = frozenset(
    {
        "API_PATIENCE",
        "ENTITIES_PER_MINUTE",
        "IMAGE_ATTEMPTS",
        "IN_FLIGHT_BYTES",
        "JPEG_WALK",
        "JXL_EFFORT",
        "JXL_ENCODER",
        "MAPILLARY_CONCURRENCY_FIXED",
        "MAPILLARY_CONCURRENCY_MAX",
        "MAPILLARY_CONCURRENCY_MIN",
        "MAPILLARY_CONCURRENCY_START",
        "MAPILLARY_STAGING",
        "MAPILLARY_STORE",
        "MAX_BYTES_PER_SECOND",
        "MIN_FREE_BYTES",
        "PROCESSORS",
        "SEARCHES_PER_MINUTE",
        "SLICE_IMAGES",
        "STAGING_MAX_BYTES",
        "TAR_MAX_BYTES",
        "WEBP_ENCODER",
        "WEBP_METHOD",
        "WEBP_QUALITY",
    }
)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a Scrapyd server keeps its jobs' logs, items and folders; empty means nowhere.

    A relative one counts from the server's working directory, which is its jobs' too.
    """

    logs: str = ""
    items: str = ""
    jobs: str = ""


def read_folders() -> Folders:
    """Return the folders of the server that has started this process.

    A job finds its server's configuration as the server did: Scrapyd's own runner needs it, too.
    """
    try:
        from scrapyd.config import Config  # noqa: PLC0415  installed on a server, and only there
    except ImportError:
        return Folders()
    config = Config()
    return Folders(*(config.get(option, "") for option in ("logs_dir", "items_dir", "jobs_dir")))


def withhold(
    given: Sequence[str],
    arguments: Sequence[str],
    settings: BaseSettings,
    environment: Mapping[str, str],
    folders: Folders | None = None,
    *,
    spider: str = "user",
) -> tuple[list[str], list[str]]:
    """Return the settings to use, and the names of those that a client may not schedule.

    `given` are settings and `arguments` spider arguments, both as NAME=VALUE; `settings` are
    the project's, before any was given; `folders` are the server's (None: as it is configured).
    A crawl that Scrapyd did not start (it names a job) may have them all.
    """
    jobs = [argument.removeprefix(_JOB) for argument in arguments if argument.startswith(_JOB)]
    if not jobs:
        return list(given), []
    names = (environment.get("SCRAPY_PROJECT", ""), spider)
    own = _own_settings(folders or read_folders(), names, jobs[-1])
    kept, withheld = [], []
    for setting in given:
        name, assigned, value = setting.partition("=")
        if not assigned or _may_schedule(name, value, own, settings, environment):
            kept.append(setting)
        else:
            withheld.append(name)
    return kept, withheld


def _own_settings(folders: Folders, names: tuple[str, str], job: str) -> dict[str, str]:
    """Return what Scrapyd itself gives a job: scrapyd.environ.Environment.get_settings.

    `names` are the project's and the spider's. A job whose name would lead out of its folder has
    none of them.
    """
    own = {}
    try:
        if folders.logs:
            own["LOG_FILE"] = _path(folders.logs, *names, f"{job}.log")
        if folders.jobs:
            own["JOBDIR"] = _path(folders.jobs, *names, job)
        if folders.items:
            own["FEEDS"] = _feed(folders.items, *names, f"{job}.jl")
    except InsecurePath:
        return {}
    return own


def _path(folder: str, project: str, spider: str, name: str) -> str:
    return str(FilePath(folder).child(project).child(spider).child(name).path)


def _feed(items: str, project: str, spider: str, name: str) -> str:
    """Return the address of a job's items; `items` is a folder, or the URL of one."""
    address = urlsplit(items)
    path = _path(address.path, project, spider, name)
    if address.scheme.lower() in ("", "file"):
        return path_to_file_uri(path)
    return address._replace(path=join(address.path, project, spider, name)).geturl()


def _may_schedule(
    name: str,
    value: str,
    own: Mapping[str, str],
    settings: BaseSettings,
    environment: Mapping[str, str],
) -> bool:
    match name:
        case "LOG_LEVEL":
            return True
        case "LOG_FILE":
            return value == own.get(name)
        case "JOBDIR":
            root = environment.get("MAPILLARY_STORE_ROOT")
            return not root or value == own.get(name) or is_below(Path(value), Path(root))
        case "FEEDS":
            return _is_feed(value, own.get(name))
    if not hasattr(default_settings, name):
        return name in SCHEDULABLE
    return _is_number(value, settings[name])


def _is_feed(value: str, own: str | None) -> bool:
    """Say whether these are the FEEDS of Scrapyd's `items_dir`: one file of JSON lines."""
    try:
        feeds = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return own is not None and bool(feeds == {own: {"format": "jsonlines"}})


def _is_number(value: str, default: object) -> bool:
    """Say whether the default is a number and the value reads as one of its kind."""
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        return False
    try:
        type(default)(value)
    except ValueError:
        return False
    return True
