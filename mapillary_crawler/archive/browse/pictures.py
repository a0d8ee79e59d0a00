"""The bytes of images as a browser is given them, from wherever they lie."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

from mapillary_crawler.archive.extract.sources import LocalTar, RemoteTar, Unreadable, loose
from mapillary_crawler.archive.finish.pictures import within
from mapillary_crawler.archive.internet_archive.ranges import Ranges
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import EXTENSIONS
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.image.encoders import EncodeInterrupted, NotEncoded
from mapillary_crawler.image.jxl import START as JXL
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.image.other_formats import other_format
from mapillary_crawler.ledger.viewer_records import ShownImage

Where = Literal["here", "removed", "missing"]

_JPEG = b"\xff\xd8\xff"
#: Bytes of images from archive.org that are kept: somebody looks to and fro.
_KEPT = 64 << 20


class Removed(Exception):
    """The image's tar was removed here, and nobody has agreed to ask archive.org for it."""

    def __init__(self, item: str) -> None:
        super().__init__(f"its tar was removed; archive.org's {item} has it")
        self.item = item


def type_of_name(extension: str | None) -> str:
    """Return the type as which an image of that extension is shown; JPEG XL is as its JPEG."""
    return "image/jpeg" if extension in ("jpg", "jxl") else f"image/{extension or '*'}"


def type_of(body: bytes) -> str:
    """Return the type of an image by its bytes, whatever its name; raises `Unreadable`."""
    if body.startswith(_JPEG):
        return "image/jpeg"
    if body.startswith(JXL):
        return "image/jxl"
    found = other_format(body)
    if found is None:
        raise Unreadable("it is no image")
    return f"image/{found}"


def where(folder: Path, image: ShownImage) -> Where:
    """Return where an image is, by what lies there now."""
    record = image.record
    try:
        if record.extension not in EXTENSIONS:
            return "missing"
        status = descent.status(folder, record.tar or record.member)
    except FileNotFoundError:
        return "removed" if image.removed else "missing"
    except OSError:
        return "missing"
    end = (record.offset or 0) + (record.size or 0) if record.tar else 0
    return "here" if stat.S_ISREG(status.st_mode) and status.st_size >= end else "missing"


class Pictures:
    """Reads images, each proven by its checksum; for any thread.

    `ranges` makes what asks archive.org, where somebody has agreed to that.
    """

    def __init__(self, decoder: Decoder, ranges: Callable[[], Ranges]) -> None:
        self._decoder = decoder
        self._new_ranges = ranges
        self._ranges: Ranges | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._stopped = False

    def stored(self, folder: Path, image: ShownImage, *, remote: bool) -> bytes:
        """Return an image as it is stored; raises `Removed`, `Unreadable`, `RunStopped`."""
        record = image.record
        if record.extension not in EXTENSIONS:
            raise Unreadable("no image has such an extension")
        try:
            body = self._local(folder, image)
        except FileNotFoundError:
            if not image.removed:
                raise Unreadable(f"{record.tar or record.member} is not there") from None
            if not remote:
                raise Removed(image.item or folder.name) from None
            return self._remote(folder, image)
        except OSError as error:  # links, and what a disk that dies says
            raise Unreadable(f"{record.tar or record.member} {error.strerror}") from None
        return _proven(body, image)

    def _local(self, folder: Path, image: ShownImage) -> bytes:
        if image.record.tar is None:
            return loose(folder)(image.record)
        with closing(LocalTar(folder, image.record.tar)) as tar:
            return tar(image.record)

    def _remote(self, folder: Path, image: ShownImage) -> bytes:
        record = image.record
        assert record.tar is not None
        key = record.sha256_stored or b""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        ranges = self._ready_ranges()
        reader = RemoteTar(ranges, image.item or folder.name, record.tar, [record])
        body = _proven(reader(record), image)
        with self._lock:
            self._kept[key] = body
            while sum(map(len, self._kept.values())) > _KEPT and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return body

    def _ready_ranges(self) -> Ranges:
        """Return what asks archive.org; anew where that was away, since somebody asks again."""
        with self._lock:
            if self._ranges is None or self._ranges.away:
                self._ranges = self._new_ranges()
                if self._stopped:
                    self._ranges.stop()
            return self._ranges

    def shown(self, body: bytes) -> tuple[str, bytes]:
        """Return the type and the bytes as browsers take them: of a JPEG XL, its JPEG.

        Where nothing here decodes it, some browsers do. Raises `Unreadable`.
        """
        kind = type_of(body)
        if kind != "image/jxl":
            return kind, body
        try:
            return "image/jpeg", self._decoder(body)
        except Refused:
            return kind, body
        except (NotEncoded, EncodeInterrupted) as error:
            raise Unreadable(f"it gives back no JPEG: {error}") from None

    def reduced(self, body: bytes, side: int) -> tuple[str, bytes]:
        """Return the type and the bytes of an image of at most `side` pixels a side, upright.

        What is damaged is given as it is; raises `Unreadable` for what would cost too much.
        """
        # It loads numpy, which the page need not wait for.
        from mapillary_crawler.image.inspection import State, judge_file  # noqa: PLC0415

        kind, body = self.shown(body)
        extension = "jpg" if kind == "image/jpeg" else kind.removeprefix("image/")
        if extension == "jxl":
            return kind, body
        verdict = judge_file(body, extension)
        if verdict.state is State.REFUSED:
            raise Unreadable(verdict.reason)
        small = within(body, side) if verdict.has_all_pixels else None
        return ("image/jpeg", small) if small else (kind, body)

    def close(self) -> None:
        """Let nobody wait for archive.org any longer."""
        with self._lock:
            self._stopped = True
            if self._ranges:
                self._ranges.stop()
                self._ranges.close()


def _proven(body: bytes, image: ShownImage) -> bytes:
    """Return an image's bytes if they are those that were stored; raises `Unreadable`."""
    if hashlib.sha256(body).digest() != image.record.sha256_stored:
        raise Unreadable("its bytes are not those that were stored")
    return body
