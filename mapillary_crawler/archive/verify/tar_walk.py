"""What lies in a tar, whoever made it and whatever has become of it since."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from mapillary_crawler.archive.finish.parts import padded
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.limits import TAR_ATTRIBUTES, TAR_HEADER_BYTES

_EMPTY = bytes(tarfile.BLOCKSIZE)
#: What the headers of all tars since POSIX have (tar(5)).
_MAGIC, _MAGIC_AT = b"ustar", 257
#: Bytes, whole blocks, in which the next header is looked for at once.
_AHEAD = 1 << 20
_BEFORE_A_MEMBER = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


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


class _Header(tarfile.TarInfo):
    """A header that takes no more memory than a header of an image needs."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Refuse what stands before a member and is too large, and files with holes."""
        if self.type in _BEFORE_A_MEMBER and self.size > TAR_HEADER_BYTES:
            raise tarfile.HeaderError(f"a header of {self.size} bytes")
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._no_holes()
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]

    def _no_holes(self, *_: object) -> None:
        raise tarfile.HeaderError("a file with holes")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _no_holes


class TarWalk:
    """The headers of a tar from a place on; a damaged one is found, not passed over."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    @classmethod
    def of(cls, path: Path) -> Self:
        """Open the tar at a path; raises `NotFollowed`, `OSError`."""
        file = os.fdopen(descent.open_file(path.parent, path.name), "rb")
        return cls(file, os.fstat(file.fileno()).st_size)

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Yield what is found; a last one without a name where the tar does not end as it must."""
        self._file.seek(start)
        place = start
        try:
            tar = tarfile.TarFile(fileobj=self._file, mode="r", tarinfo=_Header)
            while found := tar.next():
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
                if len(tar.pax_headers) > TAR_ATTRIBUTES:
                    break
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
        for behind in self._magic(place + tarfile.BLOCKSIZE):
            block = self._block(behind)
            with suppress(tarfile.HeaderError, ValueError, OverflowError):
                tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
                return behind
        return self.size

    def _magic(self, start: int) -> Iterator[int]:
        """Yield the places of blocks, counted from `start`, that have the magic of a header."""
        for place in range(start, self.size, _AHEAD):
            self._file.seek(place)
            ahead = self._file.read(_AHEAD)
            found = ahead.find(_MAGIC)
            while found >= 0:
                if found % tarfile.BLOCKSIZE == _MAGIC_AT:
                    yield place + found - _MAGIC_AT
                found = ahead.find(_MAGIC, found + 1)

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
