"""Where collections are, and which of them somebody works on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.collection.layout import lock_path
from mapillary_crawler.collection.outcome import ArgumentRefused


@dataclass(frozen=True, slots=True)
class Places:
    """The folder of finished collections, and that of those worked on."""

    store: Path
    staging: Path

    def find(self, named: str) -> Path:
        """Return the folder of a collection, given by its path or by its name.

        Raises `ArgumentRefused` where there is none.
        """
        candidates = [Path(named)]
        is_name = "/" not in named and named not in {".", ".."}
        if is_name:
            candidates = [self.store / named, self.staging / named, *candidates]
        for folder in candidates:
            if named and folder.is_dir():
                # A link keeps its name, which is the collection's.
                return folder.absolute() if folder.is_symlink() else folder.resolve()
        where = f"in {self.store} or {self.staging}" if is_name else "on the disk"
        raise ArgumentRefused(f"there is no collection {named!r} {where}")

    def all(self) -> Iterator[Path]:
        """Yield the folders of all collections, those worked on first, by name."""
        for place in (self.staging, self.store):
            if place.is_dir():
                yield from sorted(
                    folder
                    for folder in place.iterdir()
                    if folder.name.startswith("mapillary-") and folder.is_dir()
                )

    def is_locked(self, folder: Path) -> bool:
        """Say whether a process works on a collection; never in the way of one that begins."""
        places = {self.store.resolve(), self.staging.resolve()}
        return folder.resolve().parent in places and any(
            _is_locked(lock_path(place, folder.name)) for place in places
        )


def _is_locked(path: Path) -> bool:
    """Say whether somebody holds a lock file; one that nobody holds is there for an instant."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # on a disk without locks nobody can hold one
        return False
    finally:
        os.close(handle)
    return False
