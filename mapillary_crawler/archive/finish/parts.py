"""Pure: how a day's images are laid out in tars.

The cut between parts depends on the images alone: each part takes the next ones in
bytewise order of their names until one more would bring it to the limit. So what an
interruption left is cut as it would have been.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mapillary_crawler.ledger.records import ImageRecord

_BLOCK = tarfile.BLOCKSIZE
#: A tar ends with two empty blocks and is filled up to a whole record, as GNU tar does.
_CLOSE = 2 * _BLOCK
_RECORD = tarfile.RECORDSIZE


class Placed(NamedTuple):
    """An image and the offset of its own bytes within its tar."""

    record: ImageRecord
    offset: int


class Filling:
    """A part that is being filled, image by image, with `end` bytes so far."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.end = 0

    def take(self, record: ImageRecord) -> int | None:
        """Return the offset of an image's own bytes, None where the part closes before it.

        The first one fits, however large it is.
        """
        following = _behind(self.end, record)
        if self.end and closed(following) >= self._max_bytes:
            return None
        self.end = following
        return following - padded(size_of(record))


def parts(records: Iterable[ImageRecord], max_bytes: int) -> Iterator[list[Placed]]:
    """Yield the parts of a day; each stays below `max_bytes`.

    An image that is larger by itself gets a part of its own. Memory: one part's records.
    """
    part: list[Placed] = []
    filling = Filling(max_bytes)
    for record in records:
        offset = filling.take(record)
        if offset is None:
            yield part
            part, filling = [], Filling(max_bytes)
            offset = filling.take(record)
            assert offset is not None
        part.append(Placed(record, offset))
    if part:
        yield part


def tar_size(part: list[Placed]) -> int:
    """Return the bytes of a part's tar."""
    return closed(_end(part))


def size_of(record: ImageRecord) -> int:
    """Return the bytes of a saved image as stored."""
    assert record.size is not None
    return record.size


def modified(record: ImageRecord) -> int:
    """Return the time of an image's file, in seconds since 1970: the capture time, rounded down."""
    return (record.captured_at or 0) // 1000


def header(record: ImageRecord) -> bytes:
    """Return the tar header of an image: pax format, mode 0644, owner 0, no names."""
    entry = tarfile.TarInfo(record.member)
    entry.size = size_of(record)
    entry.mtime = modified(record)
    return entry.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """Return what fills the last block of `size` bytes."""
    return bytes(-size % _BLOCK)


def ending(part: list[Placed]) -> bytes:
    """Return what closes a part's tar behind its last member."""
    return bytes(tar_size(part) - _end(part))


def _end(part: list[Placed]) -> int:
    record, offset = part[-1]
    return offset + padded(size_of(record))


def _behind(start: int, record: ImageRecord) -> int:
    size = size_of(record)
    plain = len(record.member) <= tarfile.LENGTH_NAME and size < 8**11
    return start + (_BLOCK if plain else len(header(record))) + padded(size)


def padded(size: int) -> int:
    """Return `size` with what fills its last block."""
    return size + -size % _BLOCK


def closed(end: int) -> int:
    """Return the bytes of a tar whose last member ends there."""
    return end + _CLOSE + -(end + _CLOSE) % _RECORD
