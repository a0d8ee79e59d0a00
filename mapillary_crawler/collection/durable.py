"""Files that are there whole or not at all, with their checksums taken while they are written."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.refusals import TIMES, best_effort, named

#: Bytes read or written at once.
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file holds: bytes, sha256 and md5."""

    size: int
    sha256: bytes
    md5: bytes


class WholeFile:
    """A file that is written under a temporary name and appears when the block ends well.

    `scratch` is a folder of the same file system. An exception leaves nothing; a
    crash leaves the temporary name, which the next file of that name takes over.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path = path
        self.temporary = scratch / path.name
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._flushed = False
        #: Set to False, nothing appears when the block ends.
        self.kept = True

    def __enter__(self) -> Self:
        self._file = self.temporary.open("wb", buffering=CHUNK)
        return self

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self._sha256.update(data)
        self._md5.update(data)
        self._size += len(data)
        self._flushed = False
        with named(self.path):
            return self._file.write(data)

    @property
    def digests(self) -> Digests:
        """The checksums of what was written so far."""
        return Digests(self._size, self._sha256.digest(), self._md5.digest())

    def flush(self) -> None:
        """Bring what was written to the disk."""
        if not self._flushed:
            flush(self._file, self.path)
        self._flushed = True

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.kept:
                self.flush()
                with named(self.path):
                    self._file.close()
                self.temporary.replace(self.path)
                sync_folder(self.path.parent)
        finally:
            with suppress(OSError):  # what could not be written is wanted no more
                self._file.close()
            self.temporary.unlink(missing_ok=True)


@contextmanager
def new_file(root: Path, path: str, time: int | None = None) -> Iterator[BinaryIO]:
    """Give a file for writing that appears below `root` when the block ends well.

    The folders on the way are made, and nothing there is followed; a file that has the name is
    replaced. `time`, in ms since 1970, is the file's own. To bring it to the disk is the caller's.
    Raises `NotFollowed`, `OSError`.
    """
    with descent.parent(root, path, make=True) as (handle, name):
        temporary = f".{name}.part"
        try:
            with (
                named(root / path),
                os.fdopen(descent.create_file(handle, temporary), "wb", buffering=CHUNK) as file,
            ):
                yield file
                file.flush()
                if time is not None:
                    with best_effort(TIMES, root / path):
                        os.utime(file.fileno(), ns=(time * 1_000_000, time * 1_000_000))
            os.rename(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=handle)
            if isinstance(error, OSError) and error.filename == temporary:
                error.filename = str(root / path)
            raise


def flush(file: BinaryIO, path: Path) -> None:
    """Bring a file to the disk; a later read comes from there, not from memory."""
    with named(path):
        file.flush()
        os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        with best_effort("read files back from it instead of from memory", path):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sync_disk(handle: int) -> bool:
    """Flush the whole file system that an open folder is on; say whether there is such a call."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return syncfs is not None and syncfs(handle) == 0


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes; raises `NotFollowed` for what is a link or no file."""
    with (
        named(path),
        os.fdopen(descent.open_file(path.parent, path.name), "rb", buffering=0) as file,
    ):
        while chunk := file.read(CHUNK):
            yield chunk


def sha256_of(path: Path, advance: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the sha256 of a file; `advance` hears of the bytes that were read, and may raise."""
    return sha256_of_chunks(chunks(path), advance)


def sha256_of_chunks(
    read: Iterable[bytes], advance: Callable[[int], None] = lambda _: None
) -> bytes:
    """Return the sha256 of what is read, which may raise, or do more with it, on its way."""
    sha256 = hashlib.sha256()
    for chunk in read:
        sha256.update(chunk)
        advance(len(chunk))
    return sha256.digest()


def digests_of(path: Path) -> Digests:
    """Return the checksums of a file."""
    size, sha256, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for chunk in chunks(path):
        size += len(chunk)
        sha256.update(chunk)
        md5.update(chunk)
    return Digests(size, sha256.digest(), md5.digest())


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where it takes them by themselves."""
    with best_effort("flush folders", folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def exists(path: Path) -> bool:
    """Say whether a name is taken, be it by a link that leads nowhere."""
    return os.path.lexists(path)
