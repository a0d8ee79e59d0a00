"""Folders into packages and back, each file with its checksum; no link is followed.

A package has the folder's files as they are, and beside them a list of their sizes and sha256. What
is written is flushed, then read again from the disk; what is fetched is compared on its way.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mapillary_crawler.archive.finish.errors import ReadBackFailed
from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.archive.packages.errors import DamagedPackage, Moved
from mapillary_crawler.archive.packages.names import FILES, SUMS
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import CHUNK, sync_disk, sync_folder
from mapillary_crawler.collection.layout import (
    BEGINNING,
    INCOMING,
    LEDGER_PATH,
    PROGRESS_PATH,
    SCRATCH,
    beside_ledger,
    files,
    ledger_files,
)
from mapillary_crawler.collection.limits import TooLarge, lines
from mapillary_crawler.collection.outcome import Outcome, Refused, RunStopped
from mapillary_crawler.collection.refusals import TIMES, best_effort, named
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState

#: What a folder has that is worth nothing elsewhere.
_PASSING = frozenset({str(PROGRESS_PATH), *ledger_files(BEGINNING), *beside_ledger(LEDGER_PATH)})
_RUBBISH = (f"{INCOMING}/", f"{SCRATCH}/")


class File(NamedTuple):
    """A file of a package."""

    path: str
    size: int
    sha256: bytes


def write_package(folder: Path, root: Path, below: str, stop: Callable[[], bool]) -> None:
    """Make a package `below` root, which is not there yet, of a folder that nobody works on.

    The folder that it lies in is never made: where it is gone, nobody wants it any more. Raises
    `Refused` where its ledger is being read or written; `ReadBackFailed` where a file is not what
    the ledger says, or does not read as it was written; `RunStopped`, `NotFollowed`, `OSError`,
    `sqlite3.Error`.
    """
    sealed = _sealed(folder)
    with descent.parent(root, below) as (handle, name):
        os.mkdir(name, dir_fd=handle)
    place = root / below
    with descent.opened_folder(place, FILES, make=True):
        pass
    written = []
    with descent.Visit(folder) as visit:
        for path in files(folder):
            if path in _PASSING or path.startswith(_RUBBISH):
                continue
            source = visit.open_file(path)
            file = _copy(source, place, f"{FILES}/{path}", path, stop, origin=folder / path)
            if sealed.get(path, file.sha256) != file.sha256:
                raise ReadBackFailed(folder / path)
            written.append(file)
    with (
        descent.parent(place, SUMS) as (handle, name),
        os.fdopen(descent.create_file(handle, name), "wb") as sums,
    ):
        sums.writelines(_line(file) for file in written)
    _flush(place)
    for file in written:
        if _read(place, f"{FILES}/{file.path}", stop) != file.sha256:
            raise ReadBackFailed(place / FILES / file.path)


def fetch(
    root: Path, below: str, folder: Path, stop: Callable[[], bool], *, reserve: int = 0,
    wanted: Callable[[str], bool] = lambda _: True,
) -> None:  # fmt: skip
    """Copy what a package has into a folder, where `reserve` bytes are to stay free.

    Only the paths that are `wanted`. Raises `Moved` where the package is not there any more,
    `DamagedPackage`, `RunStopped`, `OSError`.
    """

    def listed() -> Iterator[File]:
        return (file for file in read_sums(root, below) if wanted(file.path))

    try:
        folder.mkdir(parents=True, exist_ok=True)
        require_space(folder, sum(file.size for file in listed()), f"what {below} has", reserve)
        with descent.Visit(root) as visit:
            for file in listed():
                path = f"{below}/{FILES}/{file.path}"
                copied = _copy(
                    visit.open_file(path), folder, file.path, file.path, stop,
                    origin=root / path, most=file.size,
                )  # fmt: skip
                if copied != file:
                    raise DamagedPackage(root / path, "is not what was written there")
    except FileNotFoundError as error:
        if (root / below / SUMS).exists():
            raise DamagedPackage(root / below, f"has not all that it lists: {error}") from None
        raise Moved(f"{below} has given way to another") from None
    except OSError as error:
        if error.errno == errno.ESTALE:  # NFS: another machine has removed what is open here
            raise Moved(f"{below} has given way to another") from None
        raise
    _flush(folder)


def read_sums(root: Path, below: str) -> Iterator[File]:
    """Yield what a package lists, however much that is; raises `DamagedPackage`, `OSError`."""
    with os.fdopen(descent.open_file(root, f"{below}/{SUMS}"), "rb") as sums:
        try:
            for line in lines(sums):
                yield _file(*json.loads(line))
        except (TooLarge, ValueError, TypeError, RecursionError):
            raise DamagedPackage(root / below / SUMS, "is no list of checksums") from None


def _file(path: Any, size: Any, sha256: Any) -> File:
    """Return what a line says, which may be a stranger's; raises `ValueError`, `TypeError`."""
    if "\0" in path or type(size) is not int or size < 0:
        raise ValueError
    os.fsencode(path)
    return File(path, size, bytes.fromhex(sha256))


def _line(file: File) -> bytes:
    return json.dumps([file.path, file.size, file.sha256.hex()]).encode() + b"\n"


def _sealed(folder: Path) -> Mapping[str, bytes]:
    """Bring all that the ledger knows into its one file; return the checksums of its tars."""
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        sealed = {
            piece.name: piece.sha256
            for piece in ledger.pieces.all()
            if piece.sha256 and piece.state is PieceState.SEALED
        }
    if os.path.lexists(f"{folder / LEDGER_PATH}-wal"):  # somebody reads it
        raise Refused(Outcome.LOCKED, f"another process has {folder / LEDGER_PATH} open")
    return sealed


def _copy(
    source: int, root: Path, target: str, path: str, stop: Callable[[], bool],
    *, origin: Path, most: int | None = None,
) -> File:  # fmt: skip
    """Copy a file that is open, that of `origin`, with its times, and close it.

    At most `most` bytes of it are looked at. Errors have the path of the one that is at fault.
    """
    sha256, size = hashlib.sha256(), 0
    with (
        os.fdopen(source, "rb", buffering=0) as read,
        descent.parent(root, target, make=True) as (handle, name),
        named(root / target),
        os.fdopen(descent.create_file(handle, name), "wb", buffering=CHUNK) as written,
    ):
        for chunk in _chunks(read, origin, stop):
            size += len(chunk)
            if most is not None and size > most:
                break
            sha256.update(chunk)
            written.write(chunk)
        written.flush()
        times = os.fstat(read.fileno())
        with best_effort(TIMES, root / target):
            os.utime(written.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
    return File(path, size, sha256.digest())


def _read(root: Path, path: str, stop: Callable[[], bool]) -> bytes:
    """Return the sha256 of a file as the disk has it."""
    sha256 = hashlib.sha256()
    with os.fdopen(descent.open_file(root, path), "rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            with best_effort("read files back from it instead of from memory", root / path):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for chunk in _chunks(file, root / path, stop):
            sha256.update(chunk)
    return sha256.digest()


def _chunks(file: BinaryIO, path: Path, stop: Callable[[], bool]) -> Iterator[bytes]:
    while True:
        with named(path):
            chunk = file.read(CHUNK)
        if not chunk:
            return
        if stop():
            raise RunStopped
        yield chunk


def _flush(folder: Path) -> None:
    """Bring the files below a folder to the disk, and their names."""
    with descent.opened_folder(folder) as handle:
        is_done = sync_disk(handle)
    if not is_done:
        with descent.Visit(folder) as visit:
            for path in files(folder):
                file = visit.open_file(path)
                try:
                    with named(folder / path):
                        os.fsync(file)
                finally:
                    os.close(file)
    for made, _, _ in os.walk(folder):
        sync_folder(Path(made))
