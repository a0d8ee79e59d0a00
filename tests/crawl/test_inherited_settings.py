"""Who sets what Scrapy's own classes would heed, and these do not, is told so."""

from __future__ import annotations

import logging

import pytest
from scrapy.settings import Settings

from mapillary_crawler import settings as project
from mapillary_crawler.crawl.inherited_settings import AUTOTHROTTLE, IMAGES_PIPELINE, warn_of


def settings(**given: object) -> Settings:
    """Return the project's settings, some of them set by the user."""
    found = Settings()
    found.setmodule(project, priority="project")
    for name, value in given.items():
        found.set(name, value, priority="cmdline")
    return found


def test_the_project_s_own_settings_warn_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    warn_of(AUTOTHROTTLE + IMAGES_PIPELINE, settings(), "nothing")
    assert caplog.records == []


def test_all_that_is_set_is_named_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    given = settings(IMAGES_EXPIRES=30, IMAGES_MIN_WIDTH=100, AUTOTHROTTLE_MAX_DELAY=5)
    warn_of(IMAGES_PIPELINE, given, "images are kept as served")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == (
        "IMAGES_EXPIRES, IMAGES_MIN_WIDTH have no effect here; images are kept as served"
    )
    caplog.clear()
    warn_of(AUTOTHROTTLE, given, "see MAPILLARY_CONCURRENCY_*")
    assert [record.message for record in caplog.records] == [
        "AUTOTHROTTLE_MAX_DELAY has no effect here; see MAPILLARY_CONCURRENCY_*"
    ]
