"""Files between the folder of a collection and that of a slice: by rename, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import STATE
from mapillary_crawler.collection.outcome import Outcome, Refused


def move(source: Path, target: Path, names: Iterable[str]) -> None:
    """Move those of the names that are in `source` into `target`.

    May be killed at any instant and called again. Raises `Refused` where a file has a name in
    both, `NotFollowed`, `OSError`.
    """
    _move(source, target, "", names)
    sync_folder(target)
    sync_folder(source)


def move_all(source: Path, target: Path) -> None:
    """Move all but the state of `source` into `target`, as `move` does."""
    move(source, target, [name for name in _names(source) if name != STATE])


def _move(source: Path, target: Path, below: str, names: Iterable[str]) -> None:
    with (
        descent.opened_folder(source, below) as here,
        descent.opened_folder(target, below) as there,
    ):
        for name in names:
            path = f"{below}/{name}" if below else name
            mode, in_the_way = _mode(here, name), _mode(there, name)
            if mode is None:
                continue
            if in_the_way is None:
                _rename(name, here, there, source / path)
            elif stat.S_ISDIR(mode) and stat.S_ISDIR(in_the_way):
                _move(source, target, path, _names(source / path))
                os.rmdir(name, dir_fd=here)
                sync_folder(target / path)
            else:
                raise Refused(
                    Outcome.REFUSED,
                    f"{target / path} is in the way of {source / path}; look at both, and move one "
                    "of them away",
                )


def _rename(name: str, here: int, there: int, path: Path) -> None:
    try:
        os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise Refused(
                Outcome.REFUSED,
                f"{path} is on another disk than the staging folder, so no slice can have it; "
                "crawl without slices (cut=0)",
            ) from None
        error.filename = str(path)
        raise


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _mode(handle: int, name: str) -> int | None:
    """Return the mode of what has a name in a folder, a link's own; None for nothing."""
    try:
        return os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
