"""What a machine has taken from the shared folder, on its own disk: each in a staging folder.

    {staging}/.attempts/{collection}#{slice}@{mark}/    the whole's ledger, and the slice
                        {collection}@{mark}/            the whole and its slices, to be merged
                        {collection}@{mark}-{token}/    the whole and ledgers, for fresh URLs
                        .wholes/                        ledgers of wholes, which attempts link

A crawl works there as in any staging folder. Who has taken it holds a lock. The mark tells the
packages that it was made of: while those are the same still, what a worker has left is gone on
with; else it is rubbish. That of a whole which a machine goes on with alone tells just the cut.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.archive.packages.copying import fetch, read_sums
from mapillary_crawler.archive.packages.handed_out import HandedOut, look
from mapillary_crawler.archive.packages.names import Package
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import (
    ATTEMPTS,
    LEDGER_PATH,
    LOCKS,
    STATE,
    ledger_files,
    of_slice,
    slice_folder,
    slice_name,
)
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import ProjectError, Refused
from mapillary_crawler.ledger.records import Slice

#: Between the name of a collection or of a slice and what tells its packages.
_MARK = "@"
_WHOLES = ".wholes"
#: A file that says that all has come.
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
        """Give a staging folder with a slice and the ledger of its whole; it stays until `done`.

        Raises `Moved`, `DamagedPackage`, `RunStopped`, `OSError`; `Refused` where a process works
        there.
        """
        with self._held(_name(handed, part)) as place:
            if not (place / _TAKEN).is_file():
                self._take(handed, place, {part.number: handed.packages.get(part.number)}, stop)
            self._link_whole(handed, place / handed.collection, stop)
            yield place

    def has_slice(self, handed: HandedOut, part: Slice) -> bool:
        """Say whether a slice is here already, with what a dead worker has made of it."""
        return (self.folder / _name(handed, part) / _TAKEN).is_file()

    @contextmanager
    def of_whole(
        self, handed: HandedOut, stop: Callable[[], bool], *, alone: bool = False
    ) -> Iterator[Path]:
        """Give a staging folder with a whole and all of its slices; it stays until `done`.

        One that this machine goes on with `alone` is the same whatever others put into packages:
        what it has fetched, and what archive.org has, is known here only. Raises as `of_slice`.
        """
        with self._held(_name(handed, alone=alone)) as place:
            if not (place / _TAKEN).is_file():
                self._require_room(handed)
                self._take(
                    handed, place, dict([(None, handed.whole), *handed.packages.items()]), stop
                )
            yield place

    def done(self, handed: HandedOut, part: Slice | None = None, *, alone: bool = False) -> None:
        """Remove what was taken: nobody is to go on with it."""
        self._remove(_name(handed, part, alone=alone))

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

    def _take(
        self, handed: HandedOut, place: Path, packages: Mapping[int | None, Package | None],
        stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Copy packages, by their slices' numbers, so that all of them are here, or nothing is."""
        self._remove(place.name)
        try:
            for number, package in packages.items():
                whole = place / handed.collection
                folder = whole if number is None else slice_folder(whole, number)
                if package:
                    self._fetch(handed, package.name, folder, stop)
            place.mkdir(exist_ok=True)
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
        kept = self.folder / _WHOLES / f"{handed.collection}@{_mark(handed.cut, handed.whole.name)}"
        self._sweep(kept.name)
        kept.parent.mkdir(exist_ok=True)
        with descent.opened_folder(folder.parent, f"{folder.name}/{STATE}", make=True):
            pass
        descent.unlink_all(folder, ledger_files(LEDGER_PATH))
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


def _name(handed: HandedOut, part: Slice | None = None, *, alone: bool = False) -> str:
    if part is None:
        mark = _mark(handed.cut, "alone") if alone else handed.mark
        return f"{handed.collection}{_MARK}{mark}"
    package = handed.packages.get(part.number)
    mark = _mark(handed.cut, package.name if package else "")
    return f"{slice_name(handed.collection, part.number)}{_MARK}{mark}"


def _mark(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:12]


def _is_ledger(path: str) -> bool:
    return path == str(LEDGER_PATH)


def _is_current(root: Path, name: str) -> bool:
    """Say whether the packages of an attempt are the same still, or cannot be seen."""
    collection, number = of_slice(_inside(name))
    try:
        handed = look(root, collection)
    except (OSError, ProjectError):
        return True
    if handed is None:
        return False
    if number is None:
        return name in (_name(handed), _name(handed, alone=True))
    parts = [part for part in handed.open_ones if part.number == number]
    return name in [_name(handed, part) for part in parts]


def _inside(name: str) -> str:
    """Return what a crawl locks in an attempt."""
    return name.partition(_MARK)[0]
