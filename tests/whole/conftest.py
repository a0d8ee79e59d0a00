"""A sandbox for all crawls of this folder that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling

USERS = [
    {"username": "alice", "images": 150, "days": 3.0, "panoramas": 0.2, "dead": 3, "no_url": 0.02},
    {
        "username": "many",
        "images": 2000,
        "days": 30.0,
        "panoramas": 0.2,
        "missing_fields": 0.1,
        "undated": 0.01,
        "no_sequence": 0.01,
        "dead": 10,
        "no_url": 0.01,
        "odd_values": 0.02,
    },
    {
        "username": "odd/../näme",
        "images": 1,
    },
    {
        "username": "Ünî cødé_user",
        "images": 120,
        "nameless": 5,
        "integer_ids": 5,
        "hostile": 20,
        "odd_types": 0.2,
        "undated": 0.05,
    },
    {"username": "walker", "images": 120, "sequence_length": 20, "days": 2.0},
]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox whose faults and images no test changes."""
    with Sandbox.running(USERS, seed=7) as running:
        yield running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    """Point the command at the sandbox and at an empty store."""
    return Crawling(tmp_path / "store", sandbox)
