"""How much of a file from elsewhere is read: beyond these it is no such file."""

from __future__ import annotations

from typing import BinaryIO

MIB = 1024 * 1024

#: A line of a manifest. A row of the API has some KB, and a path at most 4 KB.
LINE_BYTES = MIB
#: A manifest unpacked: so many times its size, and so much on top for small ones. Rows of JSON
#: pack to a tenth or a thirtieth, zeros to a thousandth.
UNPACKED_RATIO, UNPACKED_BYTES = 100, 64 * MIB
#: What a line counts at least, so that empty ones come to an end, too.
_LEAST_LINE_BYTES = 64
#: `damaged.jsonl`, whose names are kept in memory: about 500,000 images that were cut when served.
DAMAGED_BYTES = 64 * MIB
#: An image; a crawl stores none above 128 MiB (DOWNLOAD_MAXSIZE).
IMAGE_BYTES = 256 * MIB
#: A value in `.meta`, and all of them; archive.org takes 2 KB a header.
META_BYTES, META_VALUES = MIB, 1000
#: `.crawl/progress.json` and what an adoption found last time.
STATE_BYTES = MIB
#: An answer of archive.org's metadata API: an item of 10,000 files, its rule of thumb, has 4 MB.
ANSWER_BYTES = 16 * MIB
#: Files of an item and its volumes; an item should not have more than 10,000.
ITEM_FILES = 1_000_000
#: SHA256SUMS of a collection with tars: a line has about 80 bytes.
SUMS_BYTES = 64 * MIB
#: What stands before a member of a tar, a long name or attributes in pax format, and how many
#: attributes may hold for all that follow. Such headers nest, so all of them are in memory.
TAR_HEADER_BYTES, TAR_ATTRIBUTES = 64 * 1024, 100
#: Members of one tar that stand for no image of the collection, and of all tars of a folder.
TAR_STRANGERS, STRANGERS = 20_000, 100_000


class TooLarge(ValueError):
    """A file has more than such a file can have; the message says of what."""


def lines(file: BinaryIO, *, packed: int | None = None, most: int | None = None) -> LimitedLines:
    """Return the lines of a file, which is `packed` bytes on the disk or has `most` bytes."""
    if packed is not None:
        most = UNPACKED_BYTES + UNPACKED_RATIO * packed
    return LimitedLines(file, most)


class LimitedLines:
    """The lines of a file with their newlines; `TooLarge` for what no manifest holds."""

    def __init__(self, file: BinaryIO, most: int | None) -> None:
        self._file = file
        self._left = most

    def __iter__(self) -> LimitedLines:
        return self

    def __next__(self) -> bytes:
        line = self._file.readline(LINE_BYTES + 1)
        if not line:
            raise StopIteration
        if len(line) > LINE_BYTES:
            raise TooLarge(f"a line of more than {LINE_BYTES:,} bytes: it is no such file")
        if self._left is not None:
            self._left -= max(len(line), _LEAST_LINE_BYTES)
            if self._left < 0:
                raise TooLarge("more bytes than such a file unpacks to: it is no such file")
        return line
