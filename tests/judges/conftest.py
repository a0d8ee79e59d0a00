"""What others' programs say of our files; runs where `pytest tests/judges` asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.names import capture_time
from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, Result, manifest
from tests.environments import left_out

#: Two seconds an image, two sequences, some panoramas, cameras whose focal length is known; one day
#: goes over into the next.
PLAIN = "plain"
USERS = [
    {"username": PLAIN, "images": 50, "days": 0.0012, "sequence_length": 30},
    # Images without a time, without a place or a sequence, and with values of every wrong type.
    {
        "username": "odd", "images": 160, "days": 2.0, "sequence_length": 20, "panoramas": 0.3,
        "undated": 0.1, "no_sequence": 0.1, "missing_fields": 0.6, "odd_values": 0.2,
        "odd_types": 0.5,
    },
]  # fmt: skip


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep these tests out of `pytest tests`."""
    return left_out(collection_path, Path(__file__).parent, config)


@dataclass(frozen=True)
class Made:
    """A user's finished collection, and the rows of its images by id."""

    name: str
    crawling: Crawling
    rows: dict[str, dict[str, Any]]

    @property
    def folder(self) -> Path:
        return self.crawling.store / f"mapillary-{self.name}-1024"

    def scrapy(self, *command: object) -> Result:
        """Run a command that has to end well."""
        result = self.crawling.scrapy(*map(str, command))
        assert result.code == 0, result.output
        return result

    def placed(self) -> dict[str, tuple[float, float]]:
        """Return longitude and latitude of each image that has a place."""
        places = {name: image_fields.camera_position(row) for name, row in self.rows.items()}
        return {name: (at.longitude, at.latitude) for name, at in places.items() if at}

    def usable(self) -> set[str]:
        """Return which images have a place, that is no null island, and a time."""
        dated = {name for name in self.rows if self.time(name) is not None}
        return {name for name, place in self.placed().items() if any(place)} & dated

    def time(self, name: str) -> int | None:
        """Return when an image was taken, in ms since 1970."""
        return capture_time(self.rows[name].get("captured_at"))


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox.running(USERS, seed=5) as running:
        yield running


@pytest.fixture(scope="session", params=[user["username"] for user in USERS])
def made(request, sandbox, tmp_path_factory) -> Made:
    name = request.param
    crawling = Crawling(tmp_path_factory.mktemp(name) / "store", sandbox)
    assert crawling.run(username=name, quality="1024").code == 0
    folder = crawling.store / f"mapillary-{name}-1024"
    found = Made(name, crawling, {row["id"]: row for row in manifest(folder / "metadata.jsonl.gz")})
    assert (len(found.usable()) == len(found.rows)) == (name == PLAIN)
    return found
