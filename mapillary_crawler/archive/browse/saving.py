"""Saves images into the folder that was given at the start, as `extract` does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.browse.shelf import Shelved
from mapillary_crawler.archive.extract.choice import Choice
from mapillary_crawler.archive.extract.extraction import Extraction
from mapillary_crawler.archive.extract.naming import Naming
from mapillary_crawler.archive.internet_archive.ranges import Ranges
from mapillary_crawler.archive.read_collection import read_collection
from mapillary_crawler.archive.verify.inventory import Problem
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.terminal.quoting import printable

#: Lines about missing images that are told.
_TOLD = 20
#: Names that sort by time, in folders by sequence.
_NAMING = Naming("sequence", "{time}_{id}")


class Saving:
    """Saves one selection at a time, for any thread; `folder` is where to.

    `ranges` makes what asks archive.org, where somebody has agreed to that.
    """

    def __init__(self, folder: Path, ranges: Callable[[], Ranges]) -> None:
        self.folder = folder
        self._new_ranges = ranges
        self._ranges: Ranges | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def save(self, shelved: Shelved, numbers: Sequence[int], *, remote: bool) -> dict[str, Any]:
        """Save images into a folder of the collection's name; what is there and right stays.

        Returns how many are there now, and of the missing ones some by name. Raises `Refused`,
        `RunStopped`, `OSError`, `sqlite3.Error`.
        """
        images = shelved.index().selected(numbers)
        ids = frozenset(image.record.image_id for image in images)
        problems: list[Problem] = []
        target = self.folder / shelved.folder.name
        with self._lock, read_collection(shelved.folder) as ledger, self._asking(remote) as ranges:
            target.mkdir(parents=True, exist_ok=True)
            done = Extraction(
                ledger, shelved.folder, target, Choice(ids=ids), _NAMING,
                ranges=ranges, report=problems.append, advance=self._advance,
            ).run()  # fmt: skip
        told = [printable(str(problem)) for problem in problems[:_TOLD]]
        more = len(problems) - len(told)
        return {
            "saved": done.written + done.right,
            "missing": done.missing,
            "problems": [*told, f"and {more:,} more"] if more else told,
            "folder": printable(str(target)),
        }

    @contextmanager
    def _asking(self, remote: bool) -> Iterator[Ranges | None]:
        """Give what asks archive.org for this selection, None where nobody may."""
        if not remote:
            yield None
            return
        with closing(self._new_ranges()) as ranges:
            self._ranges = ranges
            if self._stopped.is_set():
                ranges.stop()
            yield ranges
            self._ranges = None

    def _advance(self, _: int) -> None:
        if self._stopped.is_set():
            raise RunStopped

    def stop(self) -> None:
        """End what is on its way."""
        self._stopped.set()
        ranges = self._ranges
        if ranges:
            ranges.stop()
