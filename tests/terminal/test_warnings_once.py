"""Troubles that many images share."""

from __future__ import annotations

import logging

import pytest

from mapillary_crawler.terminal.warnings_once import WarningsOnce


def test_first_of_a_cause_is_logged_and_the_number_at_the_end(caplog: pytest.LogCaptureFixture):
    warnings = WarningsOnce(logging.getLogger("test"))
    for example in ("1", "2", "3"):
        warnings.note("broken", example)
    warnings.note("another", "4")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "broken: 1" in caplog.messages[0]
    assert "another: 4" in caplog.messages[1]
    caplog.clear()
    warnings.summary()
    assert caplog.messages == ["another: 1 in all", "broken: 3 in all"]


def test_nothing_happened(caplog: pytest.LogCaptureFixture):
    WarningsOnce(logging.getLogger("test")).summary()
    assert caplog.messages == []
