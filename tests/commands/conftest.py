"""A sandbox and a store for the commands of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling

USERS = [
    {"username": "alice", "images": 60, "days": 3.0, "panoramas": 0.3, "dead": 2},
    {"username": "bob", "images": 40, "days": 2.0},
    {"username": "carol", "images": 400, "days": 4.0, "undated": 0.02},
]


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=11) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    return Crawling(tmp_path / "store", sandbox)
