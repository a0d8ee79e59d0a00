"""A selection by sequences: what is asked for, with a box, and what is not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.sandbox.image import Image
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, manifest

pytestmark = pytest.mark.slow

UNKNOWN = "notAsequenceOfThisUser"


@pytest.fixture
def sequences(sandbox: Sandbox) -> dict[str, list[Image]]:
    """Return the images of each sequence of a user."""
    found: dict[str, list[Image]] = {}
    for image in sandbox.catalogue.user("walker").images():
        found.setdefault(str(image.sequence), []).append(image)
    assert len(found) == 6
    return found


def ids(folder: Path) -> set[str]:
    return {row["id"] for row in manifest(folder / "metadata.jsonl.gz")}


def test_two_of_them_and_one_that_is_not_there(
    crawling: Crawling, sequences: dict[str, list[Image]]
) -> None:
    one, other, *_ = sequences
    result = crawling.run(username="walker", quality="256", sequence=f"{other},{UNKNOWN},{one}")
    assert result.code == 0, result.output
    (warning,) = [line for line in result.lines if "WARNING" in line]
    assert warning.endswith(f"no image of 1 of the 3 sequences asked for: {UNKNOWN}")
    wanted = [image.image_id for name in (one, other) for image in sequences[name]]
    assert result.balance["listed"] == len(wanted) == 40
    asked = sorted([one, other, UNKNOWN])
    digest = hashlib.sha256(",".join(asked).encode()).hexdigest()[:8]
    folder = crawling.store / f"mapillary-walker-256+seq-{digest}"
    assert ids(folder) == set(wanted)
    (description,) = read_metadata(folder)["description"]
    assert f"sequences {','.join(asked)}." in description
    assert UNKNOWN in next(folder.glob("download.log.*")).read_text()


def test_what_was_seen_before_a_stop_is_known_after_it(
    crawling: Crawling, sequences: dict[str, list[Image]]
) -> None:
    """The second run does not list."""
    one, *_ = sequences
    asked = f"{one},{UNKNOWN}"
    stopping = ("-s", "CLOSESPIDER_ITEMCOUNT=1", "-s", "MAPILLARY_CONCURRENCY_FIXED=1")
    assert crawling.run(*stopping, username="walker", quality="256", sequence=asked).code == 4
    result = crawling.run(username="walker", quality="256", sequence=asked)
    assert result.code == 0, result.output
    assert f"no image of 1 of the 2 sequences asked for: {UNKNOWN}" in result.output


def test_a_sequence_outside_the_box_is_there_all_the_same(
    crawling: Crawling, sequences: dict[str, list[Image]]
) -> None:
    one, other, *_ = sequences
    longitude, latitude = sequences[one][0].metadata()["geometry"]["coordinates"]
    box = f"{longitude - 1e-7!r},{latitude - 1e-7!r},{longitude + 1e-7!r},{latitude + 1e-7!r}"
    result = crawling.run(username="walker", quality="256", sequence=f"{one},{other}", bbox=box)
    assert result.code == 0, result.output
    assert result.balance["listed"] == 1
    assert "asked for" not in result.output


def test_none_of_them(crawling: Crawling) -> None:
    result = crawling.run(username="walker", quality="256", sequence=UNKNOWN)
    assert result.code == 8
    assert "walker has 120 images, none in this selection" in result.output
    assert not crawling.store.exists()
