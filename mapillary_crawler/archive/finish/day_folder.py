"""The loose files of a day: read, checked against the ledger, and removed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from mapillary_crawler.archive.finish.parts import size_of
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import CHUNK, sha256_of_chunks, sync_folder
from mapillary_crawler.collection.refusals import TIMES, best_effort
from mapillary_crawler.ledger.records import ImageRecord

#: Errors that say that the file is lost; any other is the machine's, and ends the run.
_LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO})


class MemberChanged(Exception):
    """A stored file is missing, unreadable, or not what the ledger says."""


def read(folder: Path, record: ImageRecord, visit: descent.Visit | None = None) -> Iterator[bytes]:
    """Yield the bytes of a stored file; raises `MemberChanged` if it is gone or of another size.

    Its content is not checked. `visit` is that of the folder, where many files are read.
    """
    left = size_of(record)
    try:
        open_file = visit.open_file if visit else partial(descent.open_file, folder)
        handle = open_file(record.member)
        try:
            if os.fstat(handle).st_size != left:
                raise MemberChanged
            while left:
                chunk = os.read(handle, min(left, CHUNK))
                if not chunk:
                    raise MemberChanged
                left -= len(chunk)
                yield chunk
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in _LOST:
            raise MemberChanged from None
        if error.filename is None:  # the system does not know that of an open file
            error.filename = str(folder / record.member)
        raise


def changed(work: Work, records: Iterable[ImageRecord]) -> list[int]:
    """Return the numbers of all images whose files are not what the ledger says."""
    numbers = []
    with descent.Visit(work.folder) as visit:
        for record in records:
            work.check_stop()
            is_here = _is_as_stored(work.folder, record, visit)
            if not (is_here or lies_elsewhere(work, record)):
                numbers.append(record.number)
    return numbers


def lies_elsewhere(work: Work, record: ImageRecord) -> bool:
    """Say whether an image lies in the collection that is updated; it is not read again."""
    for folder in work.elsewhere:
        with suppress(OSError):
            status = descent.status(folder, record.member)
            if stat.S_ISREG(status.st_mode) and status.st_size == record.size:
                return True
    return False


def _is_as_stored(folder: Path, record: ImageRecord, visit: descent.Visit) -> bool:
    try:
        return sha256_of_chunks(read(folder, record, visit)) == record.sha256_stored
    except MemberChanged:
        return False


def set_capture_time(folder: Path, record: ImageRecord) -> None:
    """Give a stored file the capture time, where that is known and the file has another."""
    if record.captured_at is None:
        return
    with descent.parent(folder, record.member) as (within, name):
        status = os.stat(name, dir_fd=within, follow_symlinks=False)
        if status.st_mtime_ns // 1_000_000 != record.captured_at:
            time = record.captured_at * 1_000_000
            with best_effort(TIMES, folder / record.member):
                os.utime(name, ns=(time, time), dir_fd=within, follow_symlinks=False)


def remove(folder: Path, members: Iterable[str]) -> None:
    """Remove the files of images that are in a tar."""
    descent.unlink_all(folder, members)


def remove_empty(folder: Path, day: str) -> None:
    """Remove a day's folder and those within it, as far as nothing is in them, durably."""
    with suppress(FileNotFoundError):
        for path in descent.prune(folder, day):  # something is in it that is not ours
            sync_folder(path)
    sync_folder(folder)
