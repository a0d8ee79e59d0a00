"""Files of an item: brought here whole, or read through without keeping anything."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from mapillary_crawler.archive.from_archive_org.found_item import ItemFile, ItemSource, refused
from mapillary_crawler.collection.durable import Digests, WholeFile
from mapillary_crawler.collection.outcome import Refused

#: Bytes that are asked for at once, and that are in memory.
BLOCK = 8 << 20


def fetch(
    source: ItemSource, file: ItemFile, folder: Path, scratch: Path, advance: Callable[[int], None]
) -> None:
    """Bring a file to `folder`; raises `Refused` where it is not as described, `Trouble`."""
    with WholeFile(folder / file.name, scratch) as whole:
        for start in range(0, file.size, BLOCK):
            block = source.read(file.item, file.name, start, min(BLOCK, file.size - start))
            whole.write(block)
            advance(len(block))
        if whole.digests.md5 != file.md5:
            raise _changed(file)


class TarOfItem:
    """A tar as a file that is read, mostly forwards; each of its blocks comes once for its hash."""

    def __init__(self, source: ItemSource, file: ItemFile) -> None:
        self.item = file.item
        self.size = file.size
        self._source = source
        self._file = file
        self._place = 0
        self._hashed = 0
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        #: The last two blocks by their numbers: a header's end, and a little before it.
        self._blocks: dict[int, bytes] = {}

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, as files do."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        if start + place < 0:
            raise ValueError(f"there is no place {start + place}")
        self._place = start + place
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return the bytes from the place on; raises `Trouble`."""
        end = self.size if size < 0 else min(self.size, self._place + size)
        parts = []
        while self._place < end:
            number, begin = divmod(self._place, BLOCK)
            part = self._block(number)[begin : begin + end - self._place]
            parts.append(part)
            self._place += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Do nothing: what was read can still be hashed."""

    def digests(self) -> Digests:
        """Return the checksums of all of it; raises `Refused` where it is not as described."""
        while self._hashed * BLOCK < self.size:
            self._block(self._hashed)
        if self._md5.digest() != self._file.md5:
            raise _changed(self._file)
        return Digests(self.size, self._sha256.digest(), self._md5.digest())

    def _block(self, number: int) -> bytes:
        """Return a block, all before it hashed."""
        while self._hashed < number:
            self._fetch(self._hashed)
        if number not in self._blocks:
            self._fetch(number)
        return self._blocks[number]

    def _fetch(self, number: int) -> None:
        start = number * BLOCK
        size = min(BLOCK, self.size - start)
        block = self._source.read(self.item, self._file.name, start, size)
        if number == self._hashed:
            self._sha256.update(block)
            self._md5.update(block)
            self._hashed += 1
        self._blocks[number] = block
        if len(self._blocks) > 2:
            del self._blocks[next(each for each in self._blocks if each != number)]


def _changed(file: ItemFile) -> Refused:
    return refused(
        f"{file.name} of archive.org's {file.item} is not what its checksum there says; nothing "
        "was adopted, run the same command again"
    )
