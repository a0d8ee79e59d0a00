"""Waiting within a run does not depend on the machine's clock."""

from __future__ import annotations

import time

import pytest

from mapillary_crawler.crawl import clock


def test_a_clock_set_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.now()
    assert abs(before - time.time()) < 3600
    monkeypatch.setattr(time, "time", lambda: before - 86_400)
    assert clock.now() >= before
