"""Puts the wanted images of a collection into a folder, on all processors."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mapillary_crawler.archive.extract.choice import Choice
from mapillary_crawler.archive.extract.naming import Naming
from mapillary_crawler.archive.extract.sources import (
    LocalTar,
    Reader,
    RemoteTar,
    Unreadable,
    loose,
)
from mapillary_crawler.archive.internet_archive.ranges import Ranges
from mapillary_crawler.archive.saved_images import checked, fields_of
from mapillary_crawler.archive.verify.inventory import Kind, Problem
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import new_file
from mapillary_crawler.collection.layout import EXTENSIONS
from mapillary_crawler.collection.names import capture_time
from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.image.encoders import EncodeInterrupted, NotEncoded
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord

#: Bytes and images that are worked on in one go, and how many goes wait for a processor.
_BATCH_BYTES, _BATCH_IMAGES, _WAITING = 8 << 20, 64, 2
#: Errors by which a disk says that it takes no such name.
_NAME_REFUSED = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image, and where its file goes below the folder."""

    image: ImageRecord
    path: str
    as_jpeg: bool

    @property
    def sha256(self) -> bytes | None:
        """What the file is to hold; None where a stranger's JPEG XL does not say it."""
        return self.image.sha256_jpeg if self.as_jpeg else self.image.sha256_stored


@dataclass
class Extracted:
    """What came of it: files written, those that were right already, images that are missing.

    `absent` counts those of tars that are not here, by their names and why.
    """

    written: int = 0
    bytes: int = 0
    right: int = 0
    missing: int = 0
    problems: list[Problem] = field(default_factory=list)
    absent: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, other: Extracted) -> None:
        """Add what came of some more."""
        self.written += other.written
        self.bytes += other.bytes
        self.right += other.right
        self.missing += other.missing
        for tar, count in other.absent.items():
            self.absent[tar] = self.absent.get(tar, 0) + count


class Extraction:
    """Extracts once; a folder that has some of it already gets the rest.

    Without `ranges` what is not here is missing, without `decoder` JPEG XL stays what it is.
    `report` hears of what is missing, `advance` how many bytes are done.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        target: Path,
        choice: Choice,
        naming: Naming,
        *,
        ranges: Ranges | None = None,
        decoder: Decoder | None = None,
        report: Callable[[Problem], None],
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._target = target
        self._choice = choice
        self._naming = naming
        self._ranges = ranges
        self._decoder = decoder
        self._report = report
        self._advance = advance
        self._items = {piece.name: piece.item for piece in ledger.pieces.all() if piece.day}

    def run(self) -> Extracted:
        """Extract; raises `RunStopped`, `Refused` where JPEG XL cannot be read, `OSError`."""
        total = Extracted()
        workers = usable_processors()
        waiting: deque[Future[Extracted]] = deque()
        with ThreadPoolExecutor(workers, "extract") as pool:
            try:
                for batch in self._batches():
                    waiting.append(pool.submit(self._extract, batch))
                    if len(waiting) > _WAITING * workers:
                        self._take(total, waiting.popleft().result())
                while waiting:
                    self._take(total, waiting.popleft().result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                if self._ranges:
                    self._ranges.stop()
                raise
        for (tar, why), count in sorted(total.absent.items()):
            detail = f"and with it {count:,} image{'s' * (count > 1)}; {why}"
            self._report(Problem(tar, Kind.MISSING, detail))
        return total

    def _take(self, total: Extracted, done: Extracted) -> None:
        for problem in done.problems:
            self._report(problem)
        total.take(done)

    def _batches(self) -> Iterator[list[Wanted]]:
        """Yield what is wanted, neighbours on the disk together."""
        batch: list[Wanted] = []
        size = 0
        for image in wanted(self._ledger, self._choice):
            if batch and (
                image.tar != batch[-1].image.tar
                or size > _BATCH_BYTES
                or len(batch) >= _BATCH_IMAGES
            ):
                yield batch
                batch, size = [], 0
            as_jpeg = image.extension == "jxl" and self._decoder is not None
            extension = "jpg" if as_jpeg else str(image.extension)
            path = self._naming.path(image, partial(fields_of, self._ledger, image), extension)
            batch.append(Wanted(image, path, as_jpeg))
            size += image.size or 0
        if batch:
            yield batch

    def _extract(self, batch: Sequence[Wanted]) -> Extracted:
        """Extract images of one tar, or loose ones; what is missing is part of what came of it."""
        done = Extracted()
        missing = []
        for each in batch:
            with self._named(done, each):
                if each.image.extension not in EXTENSIONS:
                    raise Unreadable("no image has such an extension")
                if self._is_right(each):
                    done.right += 1
                    self._advance(each.image.size or 0)
                else:
                    missing.append(each)
        if not missing:
            return done
        tar = missing[0].image.tar
        if tar is None:
            self._write_all(done, missing, loose(self._folder))
            return done
        try:
            source = LocalTar(self._folder, tar)
        except FileNotFoundError:
            self._extract_absent(done, tar, missing)
        except OSError as error:
            done.missing += len(missing)
            done.absent[tar, f"it {error.strerror}"] = len(missing)
        else:
            with closing(source):
                self._write_all(done, missing, source)
        return done

    def _extract_absent(self, done: Extracted, tar: str, missing: Sequence[Wanted]) -> None:
        """Extract images of a tar that is not here; a collection's item has its name."""
        item = self._items.get(tar)
        if self._ranges:
            images = [each.image for each in missing]
            reader = RemoteTar(self._ranges, item or self._folder.name, tar, images)
            self._write_all(done, missing, reader)
            return
        done.missing += len(missing)
        why = f"archive.org's {item} has it: add --remote" if item else "--remote would look there"
        done.absent[tar, why] = len(missing)

    def _write_all(self, done: Extracted, missing: Sequence[Wanted], reader: Reader) -> None:
        for each in missing:
            with self._named(done, each):
                body = self._body(each, reader)
                with new_file(
                    self._target, each.path, capture_time(each.image.captured_at)
                ) as file:
                    file.write(body)
                done.written += 1
                done.bytes += len(body)
                self._advance(each.image.size or 0)

    def _body(self, each: Wanted, reader: Reader) -> bytes:
        """Return what a file is to hold, proven; raises `Unreadable`."""
        try:
            body = reader(each.image)
        except FileNotFoundError:
            raise Unreadable("it is not there") from None
        except OSError as error:  # of a disk that dies, say: what can be read is
            raise Unreadable(f"it cannot be read: {error.strerror}") from None
        if hashlib.sha256(body).digest() != each.image.sha256_stored:
            raise Unreadable("its bytes are not those that were stored")
        if not each.as_jpeg:
            return body
        assert self._decoder is not None
        try:
            jpeg = self._decoder(body)
        except (NotEncoded, EncodeInterrupted) as error:
            raise Unreadable(f"it gives back no JPEG: {error}") from None
        if each.sha256 not in (None, hashlib.sha256(jpeg).digest()):
            raise Unreadable("the JPEG that it gives back has another checksum")
        return jpeg

    def _is_right(self, each: Wanted) -> bool:
        """Say whether a file is there already and holds what it should."""
        try:
            handle = descent.open_file(self._target, each.path)
        except FileNotFoundError:
            return False
        with os.fdopen(handle, "rb") as file:
            if not each.as_jpeg and os.fstat(handle).st_size != each.image.size:
                return False
            return hashlib.file_digest(file, "sha256").digest() == each.sha256

    @contextmanager
    def _named(self, done: Extracted, each: Wanted) -> Iterator[None]:
        """Let what costs one image alone be named, and the others go on."""
        try:
            yield
        except (Unreadable, descent.NotFollowed) as error:
            self._miss(done, each, str(error))
        except OSError as error:
            if error.errno not in _NAME_REFUSED | {errno.EFBIG}:
                raise
            self._miss(done, each, f"{each.path}: {error.strerror}")

    def _miss(self, done: Extracted, each: Wanted, why: str) -> None:
        image = each.image
        done.missing += 1
        name = image.member if image.extension else f"{image.day}/{image.image_id}"
        done.problems.append(
            Problem(image.tar or name, Kind.MISSING, why, name if image.tar else None)
        )


def wanted(ledger: Ledger, choice: Choice) -> Iterator[ImageRecord]:
    """Yield the saved images that are chosen, as they lie on the disk."""
    for image in checked(ledger.images.by_place()):
        if choice.holds(image, partial(fields_of, ledger, image)):
            yield image
