"""What is shown of several crawls at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.terminal.jobs_display import JobsDisplay
from mapillary_crawler.terminal.live_lines import LiveLines
from mapillary_crawler.terminal.progress import Pace, Phase, Report, Snapshot
from mapillary_crawler.terminal.progress_file import ProgressFile


def report(phase: Phase) -> dict[str, Any]:
    balance = Balance(saved=30, gone=1, unavailable=0, failed=4, left=5, accepted=0)
    return Report("mapillary-a-256", Snapshot(phase, balance), Pace()).fields(
        started_at=0.0, updated_at=0.0
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [tmp_path / "staging", tmp_path / "store"]


def shown(folders: list[Path]) -> str:
    stream = io.StringIO()
    JobsDisplay(LiveLines(stream), {"alice": folders}).show(["alice"])  # type: ignore[arg-type]
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


@pytest.mark.parametrize("content", ["[]", "{}", '{"outcome": null, "failed": "many"}'])
def test_what_another_version_wrote_ends_nothing(folders: list[Path], content: str) -> None:
    (folders[0] / ".crawl").mkdir(parents=True)
    (folders[0] / PROGRESS_PATH).write_text(content)
    assert "starting" in shown(folders)
