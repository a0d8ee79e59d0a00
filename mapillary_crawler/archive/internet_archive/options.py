"""The settings of the archive.org commands, checked before anything else happens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapillary_crawler.collection.configuration import read_number, read_web_address
from mapillary_crawler.collection.configuration_file import in_force
from mapillary_crawler.collection.units import read_size, read_span

#: Settings that only these commands know; like all of the project's, also environment variables.
DEFAULTS: dict[str, Any] = {
    name: os.environ.get(name) or in_force().settings.get(name) or default
    for name, default in (
        # Internet Archive: items should not be over 100 GB; many files make an item slow.
        ("IA_ITEM_MAX_BYTES", 100 * 10**9),
        ("IA_ITEM_MAX_FILES", 1000),
        # Put items into this collection instead of the one that `.meta` names; `test_collection`
        # is archive.org's own for trying, whose items go after a month.
        ("IA_COLLECTION", ""),
        # Seconds before a first retry, twice as long after each further failure, up to 60 times.
        ("IA_RETRY_WAIT", 2),
        # Seconds that archive.org may stay unavailable, or work on its tasks.
        ("IA_PATIENCE", 6 * 3600),
        # Seconds that an upload may stand still.
        ("IA_TIMEOUT", 300),
    )
}


@dataclass(frozen=True, slots=True)
class Options:
    """The checked settings; sizes in bytes, times in seconds."""

    url: str
    s3_url: str
    item_max_bytes: int
    item_max_files: int
    collection: str
    retry_wait: float
    patience: float
    timeout: float


def read_options(settings: Mapping[str, Any]) -> Options:
    """Return the checked settings; raises `ArgumentRefused` naming the one that is wrong."""
    return Options(
        url=read_web_address(settings, "ARCHIVE_ORG_URL"),
        s3_url=read_web_address(settings, "ARCHIVE_ORG_S3_URL"),
        item_max_bytes=read_number(settings, "IA_ITEM_MAX_BYTES", 1, read_size),
        item_max_files=int(read_number(settings, "IA_ITEM_MAX_FILES", 1, float)),
        collection=str(settings["IA_COLLECTION"] or ""),
        retry_wait=read_number(settings, "IA_RETRY_WAIT", 0, read_span),
        patience=read_number(settings, "IA_PATIENCE", 0, read_span),
        timeout=read_number(settings, "IA_TIMEOUT", 0.001, read_span),
    )


def options_of(settings: Mapping[str, Any]) -> Options:
    """Return the checked settings of a crawl, of which only its own are among Scrapy's."""
    names = (*DEFAULTS, "ARCHIVE_ORG_URL", "ARCHIVE_ORG_S3_URL")
    given = {name: settings.get(name) for name in names}
    return read_options(
        DEFAULTS | {name: value for name, value in given.items() if value is not None}
    )
