"""`progress.json` of a collection that is cut: the sum, told by whoever crawls a slice of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from mapillary_crawler.archive.slices.summing import SlicesSum
from mapillary_crawler.terminal.progress import Pace, Phase, Report, Snapshot
from mapillary_crawler.terminal.progress_file import ProgressFile

if TYPE_CHECKING:
    from pathlib import Path

    from mapillary_crawler.crawl.open_collection import OpenCollection


class WholeProgress:
    """Writes the file; the rates are those of all slices together, since the sum is."""

    def __init__(self, folder: Path, opened: OpenCollection) -> None:
        self._name = opened.collection.name
        self._title = opened.collection.title
        self._sum = SlicesSum(folder)
        self._pace = Pace()
        # Several may write at once, so each has a file of its own until it has the name.
        self._file = ProgressFile(folder, folder, writing=opened.name)
        self._started_at = time.time()

    @classmethod
    def of(cls, opened: OpenCollection) -> Self | None:
        """Return what a slice tells of the whole, None where this is no slice."""
        return cls(opened.whole_folder, opened) if opened.whole_folder else None

    def write(self) -> None:
        """Add up and write; takes a moment for each slice that is crawled."""
        balance = self._sum.balance()
        if balance is None:
            return
        snapshot = Snapshot(Phase.FETCHING, balance)
        self._pace.note(time.monotonic(), snapshot)
        report = Report(self._name, snapshot, self._pace, self._title)
        self._file.write(report.fields(started_at=self._started_at, updated_at=time.time()))
