"""Below a collection's folder: every name is opened from its folder, and no link is followed.

The folder itself may be reached through links; below it a link, a pipe, a device, or a folder
that another disk is mounted on, is named and left alone. A mount of the same disk is not told
from a folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A pipe would be waited for, a terminal taken over.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

#: How often a folder is cleared into which somebody writes: how far a run is, say, by its own hand.
_MORE_ARRIVES = 3

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotFollowed(OSError):
    """Something below a collection leads elsewhere, or is not what stands there; it is named."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(errno.ELOOP, f"is {what}, which is not followed", str(path))

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


def kind(mode: int) -> str:
    """Return what a mode is of, for people: a link, a pipe, a folder."""
    return next((name for test, name in _KINDS if test(mode)), "something unknown")


@contextmanager
def opened_folder(root: Path, below: str = "", *, make: bool = False) -> Iterator[int]:
    """Give the descriptor of a folder below `root`, for `dir_fd`; `make` what is missing.

    Raises `NotFollowed`, `FileNotFoundError`, `OSError`. To bring the names of what was made to
    the disk is the caller's.
    """
    handle = _open_folder(root, below, make=make)
    try:
        yield handle
    finally:
        os.close(handle)


def _open_folder(root: Path, below: str, *, make: bool = False) -> int:
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk = os.fstat(handle).st_dev
        parts = _parts(root, below)
        for depth in range(len(parts)):
            inner = _open_inner(handle, root, parts[: depth + 1], make=make)
            os.close(handle)
            handle = inner
            _ensure_disk(handle, disk, root, parts[: depth + 1])
    except BaseException:
        os.close(handle)
        raise
    return handle


def _parts(root: Path, path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or path.startswith("/") or "\0" in path:
        raise NotFollowed(root / path.replace("\0", ""), "a path that leads elsewhere")
    return parts


def _ensure_disk(handle: int, disk: int, root: Path, parts: list[str]) -> None:
    if os.fstat(handle).st_dev != disk:
        raise NotFollowed(root.joinpath(*parts), "a mount point")


def _open_inner(handle: int, root: Path, parts: list[str], *, make: bool) -> int:
    """Return the folder of the last of `parts`, which is in the open one."""
    name = parts[-1]
    try:
        return os.open(name, _FOLDER, dir_fd=handle)
    except FileNotFoundError as error:
        if not make:
            path = str(root.joinpath(*parts))
            raise FileNotFoundError(error.errno, error.strerror, path) from None
    except OSError as error:
        raise _told(error, handle, name, root.joinpath(*parts)) from None
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=handle)
    return _open_inner(handle, root, parts, make=False)


def _told(error: OSError, handle: int, name: str, path: Path) -> OSError:
    """Return what an error means, which differs from system to system, with the whole path."""
    with suppress(OSError):
        mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK, errno.ENXIO):
            return NotFollowed(path, kind(mode))
    return OSError(error.errno, error.strerror, str(path))


@contextmanager
def parent(root: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Give the descriptor of the folder that a path lies in, and the path's last name."""
    below, name = _split(root, path)
    with opened_folder(root, below, make=make) as handle:
        yield handle, name


def _split(root: Path, path: str) -> tuple[str, str]:
    """Return the folder that a path lies in, and its last name."""
    below, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise NotFollowed(root / path, "a path that leads elsewhere")
    return below, name


def open_file(root: Path, path: str) -> int:
    """Return a descriptor for reading a regular file below `root`; raises as `opened_folder`."""
    with Visit(root) as visit:
        return visit.open_file(path)


class Visit:
    """Opens many files below a folder, of neighbours their own folder only once; a context."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._below = ""
        self._handle: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def open_file(self, path: str) -> int:
        """Return a descriptor for reading a regular file; raises as `opened_folder`."""
        below, name = _split(self._root, path)
        if self._handle is None or below != self._below:
            self.__exit__()
            self._handle, self._below = _open_folder(self._root, below), below
        return _open_regular(self._handle, name, self._root / path)


def _open_regular(handle: int, name: str, path: Path) -> int:
    try:
        file = os.open(name, os.O_RDONLY | _FILE, dir_fd=handle)
    except OSError as error:
        raise _told(error, handle, name, path) from None
    if not stat.S_ISREG(mode := os.fstat(file).st_mode):
        os.close(file)
        raise NotFollowed(path, kind(mode))
    return file


def create_file(handle: int, name: str) -> int:
    """Return a descriptor for writing a new file into an open folder; what was there goes."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
    try:
        return os.open(name, flags, 0o666, dir_fd=handle)
    except FileExistsError:
        os.unlink(name, dir_fd=handle)
    return os.open(name, flags, 0o666, dir_fd=handle)


def status(root: Path, path: str) -> os.stat_result:
    """Return what lies at a path below `root`, a link by itself; raises as `opened_folder`."""
    with parent(root, path) as (handle, name):
        return os.stat(name, dir_fd=handle, follow_symlinks=False)


def is_file(root: Path, path: str) -> bool:
    """Say whether a regular file lies at a path; raises `NotFollowed` where anything else does."""
    try:
        mode = status(root, path).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise NotFollowed(root / path, kind(mode))
    return True


def read(root: Path, path: str, most: int) -> bytes:
    """Return what a file holds, of at most `most` bytes; raises OSError, EFBIG beyond."""
    with os.fdopen(open_file(root, path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than {most:,} bytes", str(root / path))
    return content


def unlink(root: Path, path: str) -> None:
    """Remove a file below `root`, a link by itself; one that is not there is none."""
    unlink_all(root, [path])


def unlink_all(root: Path, paths: Iterable[str]) -> None:
    """Remove files as `unlink` does; neighbours in one visit of their folder."""
    for below, files in groupby((_split(root, path) for path in paths), itemgetter(0)):
        with suppress(FileNotFoundError), opened_folder(root, below) as handle:
            for _, name in files:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=handle)


def clear(root: Path, below: str) -> None:
    """Remove a folder below `root` with all that is in it; where there is none, nothing.

    Links and special files in it go by themselves. Raises `NotFollowed` where the folder is a
    link, or one in it a mount point.
    """
    with suppress(FileNotFoundError):
        for _ in range(_MORE_ARRIVES):
            if _cleared(root, below):
                return
        with parent(root, below) as (handle, name):
            os.rmdir(name, dir_fd=handle)


def _cleared(root: Path, below: str) -> bool:
    """Remove a folder with what is in it now; say whether it is gone, for more may have come."""
    with opened_folder(root, below) as handle:
        for _ in _inner_folders(handle, root / below, others=_unlink):
            pass
    with parent(root, below) as (handle, name):
        return _rmdir(handle, name)


def prune(root: Path, below: str) -> list[Path]:
    """Remove a folder below `root` and those in it, as far as nothing is in them.

    Returns those that stay. Raises as `clear`.
    """
    stay = []
    with opened_folder(root, below) as handle:
        for path, is_gone in _inner_folders(handle, root / below):
            if not is_gone:
                stay.append(path)
    with parent(root, below) as (handle, name):
        if not _rmdir(handle, name):
            stay.append(root / below)
    return stay


def _inner_folders(
    handle: int, path: Path, others: Callable[[int, str], None] = lambda *_: None
) -> Iterator[tuple[Path, bool]]:
    """Remove the folders in an open one, innermost first; yield each, and whether it is gone.

    What is no folder is given to `others` before.
    """
    with os.scandir(handle) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    disk = os.fstat(handle).st_dev
    for name, is_folder in names:
        if not is_folder:
            others(handle, name)
            continue
        inner = os.open(name, _FOLDER, dir_fd=handle)
        try:
            if os.fstat(inner).st_dev != disk:
                raise NotFollowed(path / name, "a mount point")
            yield from _inner_folders(inner, path / name, others)
        finally:
            os.close(inner)
        yield path / name, _rmdir(handle, name)


def _unlink(handle: int, name: str) -> None:
    with suppress(FileNotFoundError):  # who has made it has removed it
        os.unlink(name, dir_fd=handle)


def _rmdir(handle: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=handle)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
