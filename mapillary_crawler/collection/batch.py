"""Puts whole files on the disk, durably, a batch at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_disk, sync_folder
from mapillary_crawler.collection.layout import INCOMING
from mapillary_crawler.collection.outcome import DiskFull, is_disk_full
from mapillary_crawler.collection.refusals import TIMES, best_effort, named

#: Bytes that a batch's folders and the ledger may need besides the files.
_BESIDES = 1_000_000


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be written; `path` is relative to the folder, `time` in ms since 1970."""

    path: str
    body: bytes
    time: int | None


def write_files(folder: Path, files: Sequence[NewFile], *, min_free_bytes: int = 0) -> list[bytes]:
    """Write files below `folder` and return their sha256 digests.

    Each is written under a temporary name; the whole batch is flushed, renamed, and its
    folders flushed, so a file that has its name is whole. What is there already under such
    a name is replaced. `folder` is never made: where it is gone, its disk is. Raises `DiskFull`,
    `NotFollowed`.
    """
    try:
        with descent.opened_folder(folder, INCOMING, make=True) as incoming:
            _ensure_room(folder, sum(len(file.body) for file in files), min_free_bytes)
            digests = [_write(folder, incoming, str(n), file) for n, file in enumerate(files)]
            _flush(folder, incoming, [str(n) for n in range(len(files))])
            _name(folder, incoming, files)
    except OSError as error:
        remove_incoming(folder)
        if is_disk_full(error):
            raise DiskFull(f"no space left below {folder.name}: {error.strerror}") from None
        if error.filename is None or not Path(error.filename).is_absolute():
            error.filename = str(folder)
        raise
    return digests


def remove_incoming(folder: Path) -> None:
    """Remove what a failed or killed run left half-written below `folder`."""
    with suppress(OSError):
        descent.clear(folder, INCOMING)


def _ensure_room(folder: Path, size: int, min_free_bytes: int) -> None:
    disk = shutil.disk_usage(folder)
    needed = size + _BESIDES + min_free_bytes
    if disk.total and disk.free < needed:  # some network file systems know neither
        raise DiskFull(
            f"{disk.free:,} bytes are free on the disk of the staging folder, and at "
            f"least {needed:,} are needed (MIN_FREE_BYTES {min_free_bytes})"
        )


def _write(folder: Path, incoming: int, name: str, file: NewFile) -> bytes:
    path = folder / INCOMING / name
    with named(path), os.fdopen(descent.create_file(incoming, name), "wb") as written:
        written.write(file.body)
        written.flush()
        if file.time is not None:
            with best_effort(TIMES, path):
                os.utime(written.fileno(), ns=(file.time * 1_000_000, file.time * 1_000_000))
    return hashlib.sha256(file.body).digest()


def _name(folder: Path, incoming: int, files: Sequence[NewFile]) -> None:
    """Give files their names, and bring those to the disk."""
    within: dict[PurePosixPath, list[tuple[int, str]]] = {}
    for number, file in enumerate(files):
        path = PurePosixPath(file.path)
        within.setdefault(path.parent, []).append((number, path.name))
    changed = {folder / parent for parent in within}
    for parent, names in within.items():
        changed |= _missing(folder, parent)
        with descent.opened_folder(folder, str(parent), make=True) as target:
            for number, name in names:
                os.rename(str(number), name, src_dir_fd=incoming, dst_dir_fd=target)
    for entered in changed:
        sync_folder(entered)


def _missing(folder: Path, parent: PurePosixPath) -> set[Path]:
    """Return the folders that get a new entry when `parent` is made."""
    changed = set()
    while str(parent) != "." and not os.path.lexists(folder / parent):
        parent = parent.parent
        changed.add(folder / parent)
    return changed


def _flush(folder: Path, incoming: int, files: Sequence[str]) -> None:
    """Flush files to the disk: with one call for their file system where there is one."""
    if sync_disk(incoming):
        return
    for name in files:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=incoming)
        try:
            with named(folder / INCOMING / name):
                os.fsync(handle)
        finally:
            os.close(handle)
