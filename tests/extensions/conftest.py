"""A sandbox for the crawls of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mapillary_crawler.sandbox.process import Sandbox

USERS = [
    {"username": "alice", "images": 60, "days": 2.0},
    {"username": "slow", "images": 300, "days": 2.0},
]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running(
        USERS, items={"mapillary-alice-1024": {"metadata": {"identifier": "x"}}}
    ) as running:
        yield running
