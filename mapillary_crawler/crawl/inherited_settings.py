"""Settings of Scrapy's AutoThrottle and ImagesPipeline without effect on the subclasses here."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings

logger = logging.getLogger(__name__)

#: A delay is never set: how many transfers there are at once is.
AUTOTHROTTLE = (
    "AUTOTHROTTLE_START_DELAY",
    "AUTOTHROTTLE_MAX_DELAY",
    "AUTOTHROTTLE_TARGET_CONCURRENCY",
    "AUTOTHROTTLE_DEBUG",
)
#: Images travel on with their items, as they came; each is fetched once.
IMAGES_PIPELINE = (
    "IMAGES_STORE",
    "IMAGES_STORE_S3_ACL",
    "IMAGES_STORE_GCS_ACL",
    "IMAGES_EXPIRES",
    "IMAGES_THUMBS",
    "IMAGES_MIN_WIDTH",
    "IMAGES_MIN_HEIGHT",
    "IMAGES_URLS_FIELD",
    "IMAGES_RESULT_FIELD",
    "MEDIA_ALLOW_REDIRECTS",
)


def warn_of(names: Sequence[str], settings: BaseSettings, instead: str) -> None:
    """Warn of those settings that somebody has set; `instead` says what has an effect."""
    default = SETTINGS_PRIORITIES["default"]
    given = [name for name in names if (settings.getpriority(name) or default) > default]
    if given:
        verb = "has" if len(given) == 1 else "have"
        logger.warning("%s %s no effect here; %s", ", ".join(given), verb, instead)
