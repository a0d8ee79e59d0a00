"""Images out of tars that are not of days, a portion at a time."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from mapillary_crawler.archive.adopt.foreign_folder import ForeignTar
from mapillary_crawler.archive.adopt.judged import Judged
from mapillary_crawler.archive.verify.tar_walk import TarWalk
from mapillary_crawler.collection.batch import NewFile, write_files
from mapillary_crawler.collection.names import capture_time

_Thing = TypeVar("_Thing")

#: Images, and bytes of them, but for one more, that are in memory and written at once.
_IMAGES, _BYTES = 64, 16 << 20


def unpack(tar: ForeignTar, place: Path, files: list[tuple[Judged, str]]) -> None:
    """Bring images out of a tar to the disk, each under its path in the collection.

    Raises `DiskFull`, `OSError`; the images are what was judged, or else it is an OSError.
    """
    place.mkdir(parents=True, exist_ok=True)
    with closing(TarWalk.of(tar.path)) as walk:
        for some in portions(files, _IMAGES, lambda file: file[0].size, _BYTES):
            new = [
                NewFile(
                    member,
                    walk.at(file.offset or 0, file.size),
                    capture_time(file.modified * 1000 // 1),
                )
                for file, member in some
            ]
            for (file, _), sha256 in zip(some, write_files(place, new), strict=True):
                if sha256 != file.sha256:
                    raise OSError(errno.EIO, "reads otherwise each time", str(tar.path))


def portions(
    things: Iterable[_Thing],
    number: int,
    size: Callable[[_Thing], int] = lambda _: 0,
    most: int = 0,
) -> Iterator[list[_Thing]]:
    """Yield so many things at a time, fewer where their sizes come to `most`."""
    page: list[_Thing] = []
    left = most
    for thing in things:
        page.append(thing)
        left -= size(thing)
        if len(page) == number or left < 0:
            yield page
            page, left = [], most
    if page:
        yield page
