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


def parts(records: Iterable[ImageRecord], max_bytes: int) -> Iterator[list[Placed]]:
    """Yield the parts of a day; each stays below `max_bytes`.

    An image that is larger by itself gets a part of its own. Memory: one part's records.
    """
    part: list[Placed] = []
    end = 0
    for record in records:
        following = _behind(end, record)
        if part and closed(following) >= max_bytes:
            yield part
            part = []
            following = _behind(0, record)
        part.append(Placed(record, following - padded(size_of(record))))
        end = following
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
