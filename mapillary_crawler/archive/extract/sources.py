"""The bytes of images where they lie: loose, in a tar here, in a tar on archive.org.

Nothing is unpacked: of a tar the image's own bytes are read, by its offset. What a ledger or a
manifest says is not believed: no link is followed, and no more is read than an image can have.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mapillary_crawler.archive.internet_archive.ranges import Ranges
from mapillary_crawler.archive.internet_archive.trouble import Trouble
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.limits import IMAGE_BYTES
from mapillary_crawler.ledger.records import ImageRecord

#: Bytes that are asked for at once, and between two images that are still asked for together: the
#: rest of a block and a header, long names' included.
_RUN_BYTES, _GAP_BYTES = 8 << 20, 8 << 10

#: Gives an image's bytes, as many as there are; raises `Unreadable`, `OSError`.
Reader = Callable[[ImageRecord], bytes]


class Unreadable(Exception):
    """An image's bytes cannot be had; the message says why."""


def place(image: ImageRecord) -> tuple[int, int]:
    """Return offset and size of an image in its tar; raises `Unreadable` where they cannot be."""
    offset, size = image.offset, image.size
    if offset is None or size is None:
        raise Unreadable("it has no place")
    if not (0 <= offset < 1 << 62 and 0 < size <= IMAGE_BYTES):
        raise Unreadable(f"no image has {size} bytes at byte {offset}")
    return offset, size


class LocalTar:
    """Reads from a tar of the collection; raises `FileNotFoundError`, `NotFollowed`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._handle = descent.open_file(folder, name)
        self._end = os.fstat(self._handle).st_size

    def __call__(self, image: ImageRecord) -> bytes:
        """Return an image's bytes; raises `Unreadable`, `OSError`."""
        offset, size = place(image)
        if offset + size > self._end:
            raise Unreadable(f"the tar is cut off at {self._end:,} bytes")
        return os.pread(self._handle, size, offset)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def loose(folder: Path) -> Reader:
    """Read files of their own, as a collection without tars has them."""
    return lambda image: descent.read(folder, image.member, IMAGE_BYTES)


class RemoteTar:
    """Reads from a tar of an item on archive.org: neighbours of those that are wanted, at once."""

    def __init__(self, ranges: Ranges, item: str, name: str, wanted: Sequence[ImageRecord]) -> None:
        self._ranges = ranges
        self._item = item
        self._name = name
        self._wanted = wanted
        self._start = 0
        self._body = b""

    def __call__(self, image: ImageRecord) -> bytes:
        """Return an image's bytes; raises `Unreadable`, `RunStopped`."""
        offset, size = place(image)
        if not self._start <= offset <= offset + size <= self._start + len(self._body):
            end = self._end_of_run(offset, size)
            try:
                self._body = self._ranges.read(self._item, self._name, offset, end - offset)
            except Trouble as error:
                raise Unreadable(f"of archive.org's {self._item}: {error}") from None
            self._start = offset
        begin = offset - self._start
        return self._body[begin : begin + size]

    def _end_of_run(self, offset: int, size: int) -> int:
        """Return where what is asked for ends: behind the last image that follows closely."""
        end = offset + size
        for image in self._wanted:
            try:
                begin, its_size = place(image)
            except Unreadable:
                continue
            if begin >= end:
                if begin - end > _GAP_BYTES or begin + its_size - offset > _RUN_BYTES:
                    break
                end = begin + its_size
        return end
