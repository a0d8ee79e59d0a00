"""What is shown of several crawls at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.terminal.jobs_display import JobsDisplay, SoFar
from mapillary_crawler.terminal.live_lines import LiveLines
from mapillary_crawler.terminal.progress import Pace, Phase, Report, Snapshot
from mapillary_crawler.terminal.progress_file import ProgressFile


def report(phase: Phase) -> dict[str, Any]:
    balance = Balance(saved=30, gone=1, unavailable=0, failed=4, left=5, accepted=0)
    return Report("mapillary-a-256", Snapshot(phase, balance), Pace()).fields(
        started_at=0.0, updated_at=0.0
    )


SO_FAR = SoFar(
    users=300, ended=36, running=1, failed=3, saved=1000, bytes_saved=5_000_000, seconds_left=90
)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [tmp_path / "staging", tmp_path / "store"]


def shown(folders: list[Path]) -> str:
    stream = io.StringIO()
    display = JobsDisplay(LiveLines(stream))  # type: ignore[arg-type]
    display.show({"alice": folders}, SO_FAR)
    return stream.getvalue()


def test_a_crawl_that_has_moved_its_collection_is_at_its_end(folders: list[Path]) -> None:
    assert "starting" in shown(folders)
    (folders[0] / ".crawl").mkdir(parents=True)
    file = ProgressFile(*folders)
    file.write(report(Phase.FETCHING))
    assert "fetching" in shown(folders)
    file.write(report(Phase.FINISHING))
    folders[0].rename(folders[1])
    assert "finishing  31 of 40" in shown(folders)


def test_a_line_for_all(folders: list[Path]) -> None:
    line = "user 37 of 300 · 3 failed · 1,000 images · 5.0 MB · 0.0 images/s · 1:30 left"
    assert line in shown(folders)
    (folders[0] / ".crawl").mkdir(parents=True)
    (folders[0] / PROGRESS_PATH).write_text(
        '{"outcome": null, "saved": 30, "bytes_saved": 500000, "images_per_second": 12.5}'
    )
    assert "1,030 images · 5.5 MB · 12.5 images/s" in shown(folders)
    assert SoFar(users=2).heading() == "user 1 of 2 · 0 failed · 0 images · 0 B"


def test_who_has_ended_leaves_at_once(folders: list[Path]) -> None:
    stream = io.StringIO()
    display = JobsDisplay(LiveLines(stream))  # type: ignore[arg-type]
    display.show({"alice": folders, "bob": folders}, SO_FAR)
    stream.truncate(0)
    display.show({"alice": folders, "bob": folders}, SO_FAR)
    assert stream.getvalue() == ""
    display.show({"alice": folders}, SO_FAR)
    assert "alice" in stream.getvalue()
    assert "bob" not in stream.getvalue()


@pytest.mark.parametrize("content", ["[]", "{}", '{"outcome": null, "failed": "many"}'])
def test_what_another_version_wrote_ends_nothing(folders: list[Path], content: str) -> None:
    (folders[0] / ".crawl").mkdir(parents=True)
    (folders[0] / PROGRESS_PATH).write_text(content)
    assert "starting" in shown(folders)
