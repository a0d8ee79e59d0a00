"""What an adoption moves into the new collection, told first, so that a kill loses nothing."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import flush, sync_folder
from mapillary_crawler.collection.layout import ADOPTED, MOVES


class Moves:
    """The list of files that get another path; used as a context while it is written."""

    def __init__(self, place: Path) -> None:
        self._path = place / MOVES

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, source: str, target: str) -> None:
        """Note that a file of the folder gets that path in the collection."""
        self._file.write(json.dumps([source, target]).encode() + b"\n")

    def flush(self) -> None:
        """Bring the list to the disk."""
        flush(self._file, self._path)


def move_in(folder: Path, place: Path) -> list[str]:
    """Move a folder's files into the collection at `place`, and remove the folder.

    What no move names is kept in `.crawl/adopted`. Returns the names that stay, links and special
    files, which came since the folder was looked at. May be called again after a kill, also once
    the folder is gone.
    """
    if not folder.is_dir():
        return []
    with (place / MOVES).open("rb") as moves:
        for line in moves:
            source, target = json.loads(line)
            _move(folder, source, place, target)
    left = []
    for name in sorted(entry.name for entry in folder.iterdir()):
        mode = descent.status(folder, name).st_mode
        if stat.S_ISDIR(mode):
            descent.prune(folder, name)
        if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
            _move(folder, name, place, f"{ADOPTED}/{name}")
        else:
            left.append(name)
    _sync(place)
    if not left:
        real = folder.resolve()
        if folder.is_symlink():
            folder.unlink()
        real.rmdir()
    return left


def _move(folder: Path, source: str, place: Path, target: str) -> None:
    """Rename one thing; one that was moved before is there no more."""
    with suppress(FileNotFoundError), descent.parent(folder, source) as (there, name):
        os.stat(name, dir_fd=there, follow_symlinks=False)
        with descent.parent(place, target, make=True) as (here, new):
            os.rename(name, new, src_dir_fd=there, dst_dir_fd=here)


def _sync(place: Path) -> None:
    for path, _, _ in os.walk(place):
        sync_folder(Path(path))
