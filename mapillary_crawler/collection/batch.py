"""Puts whole files on the disk, durably, a batch at a time."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.outcome import DiskFull, is_disk_full
from mapillary_crawler.terminal import quantities

#: Bytes that a batch's folders and the ledger may need besides the files.
_BESIDES = 1_000_000
#: Where files lie until they are whole, below the collection's folder.
_INCOMING = Path(".crawl/incoming")


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
    a name is replaced. Raises `DiskFull`.
    """
    incoming = folder / _INCOMING
    try:
        incoming.mkdir(parents=True, exist_ok=True)
        _ensure_room(folder, sum(len(file.body) for file in files), min_free_bytes)
        temporary = [incoming / str(number) for number in range(len(files))]
        digests = [_write(path, file) for path, file in zip(temporary, files, strict=True)]
        _flush(incoming, temporary)
        targets = [folder / file.path for file in files]
        made = _make_folders(folder, {target.parent for target in targets})
        for path, target in zip(temporary, targets, strict=True):
            path.replace(target)
        for parent in {target.parent for target in targets} | made:
            sync_folder(parent)
    except OSError as error:
        remove_incoming(folder)
        if is_disk_full(error):
            raise DiskFull(f"no space left below {folder.name}: {error.strerror}") from None
        raise
    return digests


def remove_incoming(folder: Path) -> None:
    """Remove what a failed or killed run left half-written below `folder`."""
    incoming = folder / _INCOMING
    with suppress(OSError):
        for path in incoming.iterdir():
            path.unlink()
        incoming.rmdir()


def _ensure_room(folder: Path, size: int, min_free_bytes: int) -> None:
    disk = shutil.disk_usage(folder)
    needed = size + _BESIDES + min_free_bytes
    if disk.total and disk.free < needed:  # some network file systems know neither
        raise DiskFull(
            f"{quantities.size(disk.free)} are free on the disk of the staging folder, and at "
            f"least {quantities.size(needed)} are needed (MIN_FREE_BYTES {min_free_bytes})"
        )


def _write(path: Path, file: NewFile) -> bytes:
    path.write_bytes(file.body)
    if file.time is not None:
        os.utime(path, ns=(file.time * 1_000_000, file.time * 1_000_000))
    return hashlib.sha256(file.body).digest()


def _make_folders(folder: Path, parents: set[Path]) -> set[Path]:
    """Make the folders that are missing; return those that got a new entry."""
    changed = set()
    for parent in parents:
        missing = parent
        while not missing.is_dir() and missing != folder:
            changed.add(missing.parent)
            missing = missing.parent
        parent.mkdir(parents=True, exist_ok=True)
    return changed


def _flush(folder: Path, files: Sequence[Path]) -> None:
    """Flush files to the disk: with one call for their file system where there is one."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is not None:
        handle = os.open(folder, os.O_RDONLY)
        try:
            if syncfs(handle) == 0:
                return
        finally:
            os.close(handle)
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
