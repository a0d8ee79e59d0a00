"""The loose files of a day: read, checked against the ledger, and removed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mapillary_crawler.archive.finish.parts import size_of
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.durable import CHUNK, sync_folder
from mapillary_crawler.ledger.records import ImageRecord

#: Errors that say that the file is lost; any other is the machine's, and ends the run.
_LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO})


class MemberChanged(Exception):
    """A stored file is missing, unreadable, or not what the ledger says."""


def read(folder: Path, record: ImageRecord) -> Iterator[bytes]:
    """Yield the bytes of a stored file; raises `MemberChanged` if it is gone or of another size.

    Its content is not checked.
    """
    left = size_of(record)
    try:
        handle = os.open(folder / record.member, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size != left:
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
        raise


def changed(work: Work, records: Iterable[ImageRecord]) -> list[int]:
    """Return the numbers of all images whose files are not what the ledger says."""
    numbers = []
    for record in records:
        work.check_stop()
        sha256 = hashlib.sha256()
        with suppress(MemberChanged):
            for chunk in read(work.folder, record):
                sha256.update(chunk)
        if sha256.digest() != record.sha256_stored:
            numbers.append(record.number)
    return numbers


def set_time(folder: Path, record: ImageRecord) -> None:
    """Give a stored file the capture time, where that is known and the file has another."""
    path = folder / record.member
    if record.captured_at not in (None, path.stat().st_mtime_ns // 1_000_000):
        os.utime(path, ns=(record.captured_at * 1_000_000,) * 2)


def remove(folder: Path, members: Iterable[str]) -> None:
    """Remove the files of images that are in a tar."""
    for member in members:
        (folder / member).unlink(missing_ok=True)


def remove_empty(folder: Path) -> None:
    """Remove a day's folder and those within it, as far as nothing is in them, durably."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            Path(path).rmdir()
        except OSError:  # something is in it that is not ours
            sync_folder(Path(path))
    sync_folder(folder.parent)
