"""A user of the sandbox with one of each kind of image, whom several processes crawl at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling

ERIN: dict[str, Any] = {
    "username": "erin",
    "images": 300,
    "days": 20.0,
    "dead": 3,
    "no_url": 0.01,
    "undated": 0.05,
    "no_sequence": 0.02,
    "panoramas": 0.2,
}
NAME = "mapillary-erin-256"


def alone(store: Path, sandbox: Sandbox, *options: str) -> Path:
    """Crawl her by one process; return the collection."""
    result = Crawling(store, sandbox).scrapy("archive", "erin", *options)
    assert result.code == 0, result.output
    return store / NAME
