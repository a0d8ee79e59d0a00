"""What lies in a tar, whoever made it and whatever has become of it since."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.archive.finish.parts import padded

_EMPTY = bytes(tarfile.BLOCKSIZE)
#: What the headers of all tars since POSIX have (tar(5)).
_MAGIC, _MAGIC_AT = b"ustar", 257


@dataclass(frozen=True, slots=True)
class Entry:
    """A header found in a tar, `name` None where it is damaged; `end` is behind its data.

    Behind damage that is where the next sound header lies, or the size of the tar. `modified` is
    in seconds since 1970.
    """

    name: str | None
    offset: int
    size: int
    end: int
    is_file: bool = True
    is_folder: bool = False
    modified: float = 0.0


class TarWalk:
    """The headers of a tar from a place on; a damaged one is found, not passed over."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size = os.fstat(self._file.fileno()).st_size

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Yield what is found; a last one without a name where the tar does not end as it must."""
        self._file.seek(start)
        place = start
        try:
            tar = tarfile.TarFile(fileobj=self._file, mode="r")
            while found := tar.next():
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
                if found.size < 0 or found.offset_data <= place:
                    break  # tarfile would go back, and round and round
                place = found.offset_data + padded(found.size if found.isreg() else 0)
                yield Entry(
                    found.name,
                    found.offset_data,
                    found.size,
                    place,
                    found.isreg(),
                    found.isdir(),
                    found.mtime,
                )
        except Exception:  # noqa: BLE001, S110  tarfile raises many kinds
            pass  # what is there is looked at now
        # Zeros in the place of a header look like the end.
        behind = self._next_header(place)
        if self._block(place) != _EMPTY or behind < self.size:
            yield Entry(None, place, 0, behind)

    def _next_header(self, place: int) -> int:
        """Return where the next sound header lies, as GNU tar looks for it, or else the size."""
        for behind in range(place + tarfile.BLOCKSIZE, self.size, tarfile.BLOCKSIZE):
            block = self._block(behind)
            if block[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
                continue
            with suppress(tarfile.HeaderError, ValueError, OverflowError):
                tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
                return behind
        return self.size

    def read(self, entry: Entry) -> bytes:
        """Return what a member holds, less than its size where the tar is cut; raises OSError."""
        return self.at(entry.offset, entry.size)

    def at(self, offset: int, size: int) -> bytes:
        """Return the bytes at a place, fewer at the end of the tar; raises OSError."""
        self._file.seek(offset)
        return self._file.read(size)

    def _block(self, place: int) -> bytes:
        try:
            self._file.seek(place)
            return self._file.read(tarfile.BLOCKSIZE)
        except (OSError, ValueError, OverflowError):  # a place beyond reason, too
            return b""

    def close(self) -> None:
        """Close the tar."""
        self._file.close()
