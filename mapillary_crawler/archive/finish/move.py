"""A finished collection into the store: one rename, or a verified copy and then one.

What a crash leaves, where staging and store are on different file systems:

- `.incoming-NAME` in the store: a copy that is not complete; made again;
- the same, and the mark `.crawl/copied` in staging: complete, not named yet; made again;
- the mark, and the collection in the store: only what is left in staging is to be removed;
- `.moved-NAME` in staging: rubbish.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mapillary_crawler.archive.finish.errors import DestinationTaken, ReadBackFailed
from mapillary_crawler.archive.finish.sums import read_sums
from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.collection import descent, layout
from mapillary_crawler.collection.durable import (
    CHUNK,
    chunks,
    exists,
    flush,
    sha256_of,
    sha256_of_chunks,
    sync_folder,
)
from mapillary_crawler.collection.layout import COPIED, LEDGER_PATH, SUMS, files, is_log, is_state
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.collection.refusals import copy_status, named


def move_collection(
    folder: Path,
    destination: Path,
    *,
    absent: AbstractSet[str],
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Move a finished collection, whose ledger is closed, to its place in the store.

    `absent` names files of SHA256SUMS that are not here since their upload. Raises
    `DestinationTaken`, `ReadBackFailed`, `RunStopped`, `OSError`; the collection is then
    whole in staging.
    """
    if exists(destination):
        raise DestinationTaken(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    descent.unlink(folder, COPIED)
    try:
        folder.rename(destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_over(folder, destination, absent, stop, say)
    sync_folder(destination.parent)
    sync_folder(folder.parent)


def end_move(folder: Path, destination: Path) -> None:
    """Remove from staging what a crash left of a collection that is in the store already.

    To be called before a collection is opened.
    """
    moved, incoming = layout.moved(folder), layout.incoming(destination)
    copied = descent.is_file(folder, COPIED) and not exists(incoming)
    if copied and destination.exists() and _holds(destination, folder):
        if folder.is_symlink():  # what it leads to is not ours to remove
            folder.unlink()
        else:
            folder.rename(moved)
    with suppress(OSError):
        descent.clear(moved.parent, moved.name)


def _holds(destination: Path, folder: Path) -> bool:
    """Say whether all files of `folder` are in `destination`, with their sizes.

    Log and progress do not count: the run writes them while it copies. Of its state only the
    ledger does, of whatever size: an upload writes into that of the store.
    """
    for path in files(folder):
        is_passing = (is_state(path) and Path(path) != LEDGER_PATH) or is_log(path)
        if not is_passing:
            copy = destination / path
            if not exists(copy):
                return False
            if Path(path) != LEDGER_PATH and _size(copy) != _size(folder / path):
                return False
    return True


def _size(path: Path) -> int:
    return path.lstat().st_size


def _move_over(
    folder: Path,
    destination: Path,
    absent: AbstractSet[str],
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Copy to another file system, verify the copy, name it, and remove the original."""
    incoming = layout.incoming(destination)
    descent.clear(incoming.parent, incoming.name)
    size = sum((folder / path).lstat().st_size for path in files(folder))
    require_space(destination.parent, size, f"the copy of {folder.name}")
    say(f"copying {size:,} bytes to {destination.parent}, another file system")
    try:
        _copy_verified(folder, incoming, absent, stop)
    except BaseException:
        with suppress(OSError):
            descent.clear(incoming.parent, incoming.name)
        raise
    with descent.parent(folder, COPIED) as (state, name):
        os.close(descent.create_file(state, name))
    sync_folder((folder / COPIED).parent)
    if exists(destination):
        raise DestinationTaken(destination)
    incoming.rename(destination)
    sync_folder(destination.parent)
    end_move(folder, destination)


def _copy_verified(
    folder: Path, incoming: Path, absent: AbstractSet[str], stop: Callable[[], bool]
) -> None:
    """Copy all files; each is read back, and those that SHA256SUMS lists are compared with it."""
    sums = (line for line in read_sums(folder / SUMS) if line[0] not in absent)
    listed = next(sums, None)
    for path in files(folder):
        sha256 = copy_verified(folder / path, incoming / path, stop)
        if listed and os.fsencode(listed[0]) < os.fsencode(path):
            break
        if listed and listed[0] == path:
            if listed[1] != sha256:
                raise ReadBackFailed(folder / path)
            listed = next(sums, None)
    if listed:
        raise FileNotFoundError(errno.ENOENT, "is missing", str(folder / listed[0]))
    for made, _, _ in os.walk(incoming, topdown=False):
        copy_status(folder / Path(made).relative_to(incoming), Path(made))
        sync_folder(Path(made))


def copy_verified(source: Path, target: Path, stop: Callable[[], bool]) -> bytes | None:
    """Copy a file with its times, flush it and read it back; return its sha256.

    Links are copied as links; what is neither holds no data and is left out.
    """
    if stop():
        raise RunStopped
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = source.lstat().st_mode
    if stat.S_ISLNK(mode):
        shutil.copyfile(source, target, follow_symlinks=False)
        copy_status(source, target)
    if not stat.S_ISREG(mode):
        return None
    with named(target), target.open("wb", buffering=CHUNK) as file:
        sha256 = sha256_of_chunks(_written(source, file, stop))
        flush(file, target)
    copy_status(source, target)
    if sha256_of(target) != sha256:
        raise ReadBackFailed(target)
    return sha256


def _written(source: Path, file: BinaryIO, stop: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what is read of a file, and written into another."""
    for chunk in chunks(source):
        if stop():
            raise RunStopped
        file.write(chunk)
        yield chunk
