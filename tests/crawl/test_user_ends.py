"""What became of users, and which of those that run are at their upload alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.collection.places import Places
from mapillary_crawler.crawl.user_ends import UserEnds
from mapillary_crawler.terminal.json_lines import moment

NAME = "mapillary-alice-256"


@pytest.fixture
def ends(tmp_path: Path) -> UserEnds:
    return UserEnds({"alice": NAME}, Places(tmp_path, tmp_path / ".incomplete"))


def write(folder: Path, phase: str, started_at: float) -> None:
    path = folder / NAME / PROGRESS_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"phase": phase, "started_at": moment(started_at)}))


def test_a_crawl_says_itself_that_it_is_at_its_upload_alone(ends: UserEnds, tmp_path: Path) -> None:
    assert not ends.is_uploading("alice")  # not even begun
    ends.start("alice")
    assert not ends.is_uploading("alice")
    for phase in ("listing", "fetching", "finishing", "uploading", "ended"):
        write(tmp_path, phase, time.time())
        assert ends.is_uploading("alice") is (phase == "uploading")


def test_what_an_earlier_run_has_left_says_nothing(ends: UserEnds, tmp_path: Path) -> None:
    """It was killed at its upload, and the one that has begun has not yet written."""
    write(tmp_path, "uploading", time.time() - 2)
    ends.start("alice")
    assert not ends.is_uploading("alice")


def test_staging_comes_before_the_store(ends: UserEnds, tmp_path: Path) -> None:
    ends.start("alice")
    write(tmp_path, "uploading", time.time())
    write(tmp_path / ".incomplete", "fetching", time.time())
    assert not ends.is_uploading("alice")


def test_a_complete_collection_whose_upload_is_not_needs_somebody(ends: UserEnds) -> None:
    ends.start("alice")
    end = ends.end("alice", 10)
    assert end.words == "complete here (10)"
    assert end.needs_attention
    assert ends.counted() == "1 user: 1 complete here (10); run the same command again"
    assert end.fields()["archive_org"] is None


def test_what_slices_have_saved_stays_counted_until_the_whole_says_it(
    ends: UserEnds, tmp_path: Path
) -> None:
    def saved(name: str, images: int) -> None:
        path = tmp_path / ".incomplete" / name / PROGRESS_PATH
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"saved": images, "bytes_saved": 10 * images}))

    ends.start("alice")
    saved(f"{NAME}#1", 5)
    saved(f"{NAME}#2", 7)
    assert ends.run_now([("alice", 1), ("alice", 2)]) == (0, 0)  # they show themselves
    assert ends.run_now([("alice", 2)]) == (5, 50)
    saved(f"{NAME}#2", 9)
    assert ends.run_now([]) == (14, 140)
    assert ends.run_now([("alice", 1)]) == (9, 90)  # tried again
    assert ends.run_now([("alice", None)]) == (0, 0)
    ends.end("alice", 4)
    assert ends.run_now([]) == (0, 0)
