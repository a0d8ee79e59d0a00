"""What a folder's disk can do, found out by trying it."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.collection.refusals import is_allowed, named

#: Bytes that SQLite may want at once: its shared memory (32 KiB) and a transaction's pages.
_ROOM = 1_000_000
#: A name as long as any of the project's, and what they have besides letters and digits.
_LONG_NAME = "probe-+_.-" + "x" * 110
#: Seconds since 1970, and a mode, that no new file has.
_TIME, _MODE = 1_400_000_000, 0o640


def shares_memory(folder: Path) -> bool:
    """Say whether processes can share the memory of a file there, as SQLite's WAL needs it.

    Many network file systems and those in user space (FUSE) cannot. Raises `OSError` where there
    is no room to try it: memory that is shared with a file on a full disk can kill who writes it
    (SIGBUS), so that this is to be known before.
    """
    with _probe(folder) as file:
        _write(file)
        try:
            mmap.mmap(file.fileno(), mmap.PAGESIZE).close()
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise
            return False
    return True


def require_shared_memory(folder: Path) -> None:
    """Refuse a folder of a collection that is worked on where its disk shares no memory."""
    if not shares_memory(folder):
        raise Refused(
            Outcome.REFUSED,
            f"{folder}: its disk shares no memory between processes, as many network disks and "
            "FUSE do not, and a collection cannot be worked on there; set MAPILLARY_STAGING to a "
            "folder of a local disk",
        )


def keeps_case(folder: Path) -> bool:
    """Say whether names that differ by capitals alone are two; raises `OSError`."""
    with _probe(folder, prefix="probe-Case-") as file:
        path = Path(file.name)
        return not path.with_name(path.name.swapcase()).exists()


def try_room(folder: Path) -> None:
    """Raise the `OSError` that a disk has for who wants to write a little more."""
    with _probe(folder) as file:
        _write(file)


def takes_long_names(folder: Path) -> bool:
    """Say whether names as long as the project's, with their characters, can be made there."""
    try:
        with _probe(folder, prefix=_LONG_NAME):
            return True
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
            raise
        return False


def takes_size(folder: Path, size: int) -> bool:
    """Say whether a file may become so large, by its disk and by the process's own limit.

    Nothing is written: a disk refuses the place (lseek: EINVAL beyond the largest file). One that
    is reached over a network may know no bound of its own, and refuse later.
    """
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit not in (resource.RLIM_INFINITY, -1) and limit < size:
        return False
    with _probe(folder) as file:
        try:
            os.lseek(file.fileno(), size, os.SEEK_SET)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOVERFLOW, errno.EFBIG):
                raise
            return False
    return True


def flushes_folders(folder: Path) -> bool:
    """Say whether names can be brought to the disk by flushing their folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return is_allowed(lambda: os.fsync(handle))
    finally:
        os.close(handle)


def sets_times(folder: Path) -> bool:
    """Say whether a file can be given its time."""
    with _probe(folder) as file:
        return is_allowed(lambda: os.utime(file.fileno(), (_TIME, _TIME)))


def sets_modes(folder: Path) -> bool:
    """Say whether a file can be given its mode, and has it then."""
    with _probe(folder) as file:
        allowed = is_allowed(lambda: os.chmod(file.fileno(), _MODE))  # noqa: PTH101 - an open file
        return allowed and os.fstat(file.fileno()).st_mode & 0o777 == _MODE


def locks(folder: Path) -> bool:
    """Say whether a file can be locked there, as a collection is that is worked on."""
    with _probe(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _write(file: BinaryIO) -> None:
    file.write(bytes(_ROOM))  # buffered: the system may take a part of it without an error
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _probe(folder: Path, prefix: str = "probe-") -> Iterator[BinaryIO]:
    with named(folder), tempfile.NamedTemporaryFile(dir=folder, prefix=prefix) as file:
        yield file  # type: ignore[misc]
