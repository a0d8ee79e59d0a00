"""What a folder's disk can do, found out by trying it."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.collection.refusals import named

#: Bytes that SQLite may want at once: its shared memory (32 KiB) and a transaction's pages.
_ROOM = 1_000_000


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


def _write(file: BinaryIO) -> None:
    file.write(bytes(_ROOM))  # buffered: the system may take a part of it without an error
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _probe(folder: Path, prefix: str = "probe-") -> Iterator[BinaryIO]:
    with named(folder), tempfile.NamedTemporaryFile(dir=folder, prefix=prefix) as file:
        yield file  # type: ignore[misc]
