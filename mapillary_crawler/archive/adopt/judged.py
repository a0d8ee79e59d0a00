"""Images as they lie in tars and folders: every one decoded, on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from mapillary_crawler.archive.adopt.foreign_folder import ForeignTar
from mapillary_crawler.archive.adopt.image_paths import ImagePath, image_path
from mapillary_crawler.archive.verify.tar_walk import Entry, TarWalk
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.image.inspection import judge_file, judge_jxl
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.records import AdoptedFile

#: Bytes of a file that is looked at; no image of the service is near it.
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """A file in a tar (`offset` of its bytes) or loose; `fault` is why it is no good image.

    `place` is None where the path is no image's; `modified` is in seconds since 1970.
    """

    name: str
    size: int
    modified: float
    place: ImagePath | None = None
    offset: int | None = None
    sha256: bytes = b""
    fault: str | None = None
    #: Of the JPEG that a JPEG XL gives back.
    sha256_jpeg: bytes | None = None


class HasImages(Protocol):
    """A folder of which somebody knows where its images are."""

    @property
    def path(self) -> Path:
        """The folder."""

    def loose(self) -> Iterator[str]:
        """Yield the paths of images below it."""


class Judge:
    """Judges images in threads, which the decoders leave free; used as a context."""

    def __init__(self, *, walk: bool = True) -> None:
        self._jpeg_of = Decoder()
        self._judge = partial(_judge, walk=walk, jpeg_of=self._jpeg_of)
        workers = usable_processors()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="judge")
        self._ahead = 2 * workers

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._jpeg_of.close()

    def tar(self, tar: ForeignTar, damaged: Callable[[str], None]) -> Iterator[Judged]:
        """Yield the members of a tar in their order.

        `damaged` hears where it cannot be read; what lies behind that is looked for.
        """
        return self._in_order(self._members(tar, damaged))

    def loose(self, folder: HasImages) -> Iterator[Judged]:
        """Yield the loose images of a folder."""
        return self._in_order(self._files(folder))

    def _members(
        self, tar: ForeignTar, damaged: Callable[[str], None]
    ) -> Iterator[Future[Judged] | Judged]:
        try:
            walk = tar.walk()
        except OSError as error:
            damaged(f"{tar.path.name}: {error.strerror}")
            return
        with closing(walk):
            place: int | None = 0
            while place is not None:
                start, place = place, None
                for entry in walk.entries(start):
                    if entry.name is not None:
                        # Who verifies the tars of days later is to know all their members.
                        if tar.day is not None or not entry.is_folder:
                            yield self._member(walk, entry, entry.name, tar)
                        continue
                    damaged(_damage(tar.path.name, walk, entry.offset))
                    place = entry.end if entry.end < walk.size else None

    def _member(
        self, walk: TarWalk, entry: Entry, name: str, tar: ForeignTar
    ) -> Future[Judged] | Judged:
        place = tar.image_path(name) if entry.is_file else None
        found = Judged(name, entry.size, entry.modified, place, entry.offset)
        if place is None or entry.size > _LARGEST:
            return found
        try:
            body = walk.read(entry)
        except OSError as error:
            return _with(found, b"", str(error.strerror))
        if len(body) != entry.size:
            return _with(found, b"", "cut off by the end of the tar")
        return self._pool.submit(self._judge, found, body)

    def _files(self, folder: HasImages) -> Iterator[Future[Judged] | Judged]:
        for name in folder.loose():
            status = descent.status(folder.path, name)
            found = Judged(name, status.st_size, status.st_mtime, image_path(name))
            if found.place is None or status.st_size > _LARGEST:
                yield found
            else:
                yield self._pool.submit(_judge_file, self._judge, found, folder.path)

    def _in_order(self, judged: Iterable[Future[Judged] | Judged]) -> Iterator[Judged]:
        """Yield results in order, with a bounded number of images in memory."""
        waiting: deque[Future[Judged] | Judged] = deque()
        for each in judged:
            waiting.append(each)
            if len(waiting) > self._ahead:
                yield _result(waiting.popleft())
        for each in waiting:
            yield _result(each)


def _damage(name: str, walk: TarWalk, place: int) -> str:
    if place >= walk.size:
        return f"{name} is cut off at {walk.size:,} bytes"
    return f"{name} is damaged at byte {place}"


def _result(judged: Future[Judged] | Judged) -> Judged:
    return judged.result() if isinstance(judged, Future) else judged


def _judge_file(judged: Callable[[Judged, bytes], Judged], found: Judged, folder: Path) -> Judged:
    try:
        return judged(found, descent.read(folder, found.name, _LARGEST))
    except OSError as error:
        return _with(found, b"", str(error.strerror))


def _judge(found: Judged, body: bytes, *, walk: bool, jpeg_of: Callable[[bytes], bytes]) -> Judged:
    assert found.place is not None
    sha256_jpeg = None
    if found.place.extension == "jxl":
        verdict, sha256_jpeg = judge_jxl(body, jpeg_of, walk=walk)
    else:
        verdict = judge_file(body, found.place.extension, walk=walk)
    fault = None if verdict.has_all_pixels else verdict.reason
    return _with(found, verdict.sha256, fault, sha256_jpeg)


def _with(
    found: Judged, sha256: bytes, fault: str | None, sha256_jpeg: bytes | None = None
) -> Judged:
    return replace(found, sha256=sha256, fault=fault, sha256_jpeg=sha256_jpeg)


def file_of(judged: Judged) -> AdoptedFile:
    """Return a good image as a ledger takes it."""
    place = judged.place
    assert place is not None
    return AdoptedFile(
        image_id=place.image_id,
        day=place.day,
        sequence=place.sequence,
        extension=place.extension,
        sha256=judged.sha256,
        size=judged.size,
        sha256_jpeg=judged.sha256_jpeg,
    )
