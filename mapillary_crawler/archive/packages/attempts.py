"""What a machine has taken from the shared folder, on its own disk: each in a staging folder.

    {staging}/.attempts/{collection}#{slice}-{token}/   the whole's ledger, and the slice
                        {collection}@{mark}/            the whole and its slices, to be merged
                        {collection}@{mark}-{token}/    the whole and ledgers, for fresh URLs
                        .wholes/                        ledgers of wholes, which attempts link

A crawl works there as in any staging folder. Who has taken it holds a lock; what nobody holds is
rubbish, but for a whole whose packages are the same still.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.archive.packages.copying import fetch, read_sums
from mapillary_crawler.archive.packages.handed_out import HandedOut, look
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import (
    ATTEMPTS,
    LEDGER_PATH,
    LOCKS,
    STATE,
    slice_folder,
    slice_name,
)
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import ProjectError, Refused
from mapillary_crawler.ledger.records import Slice

#: Between a collection's name and what tells its packages.
_WHOLE = "@"
_WHOLES = ".wholes"
#: The mark of a whole of which all has come.
_TAKEN = ".taken"


@dataclass(frozen=True)
class Attempts:
    """Those of one machine; `reserve` bytes are to stay free on its disk."""

    staging: Path
    reserve: int = 0

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.staging / ATTEMPTS

    @contextmanager
    def of_slice(self, handed: HandedOut, part: Slice, stop: Callable[[], bool]) -> Iterator[Path]:
        """Give a staging folder with a slice and the ledger of its whole; it goes in the end.

        Raises `Moved`, `DamagedPackage`, `RunStopped`, `OSError`.
        """
        name = f"{slice_name(handed.collection, part.number)}-{uuid.uuid4().hex[:8]}"
        with self._held(name) as place:
            try:
                self._link_whole(handed, place / handed.collection, stop)
                if package := handed.packages.get(part.number):
                    folder = slice_folder(place / handed.collection, part.number)
                    self._fetch(handed, package.name, folder, stop)
                yield place
            finally:
                self._remove(name)

    @contextmanager
    def of_whole(self, handed: HandedOut, stop: Callable[[], bool]) -> Iterator[Path]:
        """Give a staging folder with a whole and all of its slices; it stays, for the next time.

        `done` removes it. Raises as `of_slice`; `Refused` where a process works there.
        """
        name = _name(handed)
        with self._held(name) as place:
            if not (place / _TAKEN).is_file():
                self._take_whole(handed, place, stop)
            yield place

    def done(self, handed: HandedOut) -> None:
        """Remove what was taken of a whole that is finished, or handed out anew."""
        self._remove(_name(handed))

    @contextmanager
    def of_ledgers(self, handed: HandedOut, stop: Callable[[], bool]) -> Iterator[Path]:
        """Give a staging folder with a whole and the ledgers of what waits for fresh URLs.

        Raises as `of_slice`.
        """
        name = f"{_name(handed)}-{uuid.uuid4().hex[:8]}"
        with self._held(name) as place:
            try:
                self._fetch(handed, handed.whole.name, place / handed.collection, stop)
                for part in handed.open_ones:
                    if part.wants_urls:
                        folder = slice_folder(place / handed.collection, part.number)
                        package = handed.packages[part.number].name
                        self._fetch(handed, package, folder, stop, wanted=_is_ledger)
                yield place
            finally:
                self._remove(name)

    def remove_left(self, root: Path) -> None:
        """Remove what dead workers have left, unless it can be gone on with.

        What a process still works on stays, and what cannot be looked at.
        """
        with suppress(FileNotFoundError):
            for name in sorted(path.name for path in self.folder.iterdir()):
                is_current = (self.folder / name / _TAKEN).is_file() and _is_current(root, name)
                if name not in (LOCKS, _WHOLES) and not is_current:
                    with suppress(OSError, Refused), self._held(name) as place:
                        Lock({place}, _inside(name)).release()
                        self._remove(name)
        self._sweep("")

    def _fetch(
        self, handed: HandedOut, name: str, folder: Path, stop: Callable[[], bool],
        wanted: Callable[[str], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        below = f"{handed.below}/{name}"
        fetch(handed.root, below, folder, stop, reserve=self.reserve, wanted=wanted)

    def _take_whole(self, handed: HandedOut, place: Path, stop: Callable[[], bool]) -> None:
        self._remove(place.name)
        try:
            self._require_room(handed)
            self._fetch(handed, handed.whole.name, place / handed.collection, stop)
            for number, package in handed.packages.items():
                folder = slice_folder(place / handed.collection, number)
                self._fetch(handed, package.name, folder, stop)
            (place / _TAKEN).touch()
            sync_folder(place)
        except BaseException:
            self._remove(place.name)
            raise

    def _require_room(self, handed: HandedOut) -> None:
        """Raise ENOSPC where all of a collection has no room here, before it is begun in vain."""
        size = sum(
            file.size
            for package in (handed.whole, *handed.packages.values())
            for file in read_sums(handed.root, f"{handed.below}/{package.name}")
        )
        purpose = f"all of {handed.collection}, which is to be finished here"
        require_space(self.folder, size, purpose, self.reserve)

    @contextmanager
    def _held(self, name: str) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = Lock({self.folder}, name)
        try:
            yield self.folder / name
        finally:
            lock.release()

    def _remove(self, name: str) -> None:
        descent.clear(self.folder, name)

    def _link_whole(self, handed: HandedOut, folder: Path, stop: Callable[[], bool]) -> None:
        """Give a folder the ledger of the whole, which the attempts of a machine only read."""
        name = f"{handed.collection}-{handed.generation}-{handed.cut}-{handed.whole.version}"
        self._sweep(name)
        kept = self.folder / _WHOLES / name
        kept.parent.mkdir(exist_ok=True)
        (folder / STATE).mkdir(parents=True)
        with suppress(OSError):
            os.link(kept, folder / LEDGER_PATH)
            return
        self._fetch(handed, handed.whole.name, folder, stop, wanted=_is_ledger)
        with suppress(OSError):  # another was first, or the disk has no links
            os.link(folder / LEDGER_PATH, kept)

    def _sweep(self, wanted: str) -> None:
        """Remove the ledgers of other wholes that no attempt has any more."""
        with suppress(FileNotFoundError):
            for path in (self.folder / _WHOLES).iterdir():
                if path.name != wanted and path.lstat().st_nlink == 1:
                    path.unlink(missing_ok=True)


def _name(handed: HandedOut) -> str:
    return f"{handed.collection}{_WHOLE}{handed.mark}"


def _is_ledger(path: str) -> bool:
    return path == str(LEDGER_PATH)


def _is_current(root: Path, name: str) -> bool:
    """Say whether an attempt is a whole whose packages are the same still, or cannot be seen."""
    collection, is_whole, mark = name.partition(_WHOLE)
    if not is_whole or "-" in mark:
        return False
    try:
        handed = look(root, collection)
    except (OSError, ProjectError):
        return True
    return handed is not None and _name(handed) == name


def _inside(name: str) -> str:
    """Return what a crawl locks in an attempt."""
    return name.partition(_WHOLE)[0] if _WHOLE in name else name.rpartition("-")[0]
