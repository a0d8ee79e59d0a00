"""Images as a zip, made while it is sent: nothing is packed, nothing lies on a disk meanwhile."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime

from mapillary_crawler.archive.browse.pictures import Removed
from mapillary_crawler.archive.extract.sources import Unreadable
from mapillary_crawler.ledger.viewer_records import ShownImage

#: What a zip's times begin and end with (APPNOTE 4.4.6: from 1980, seven bits of years).
_FIRST, _LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
#: The file that names images which are not in it.
_MISSING = "missing.txt"


class _Sink(io.RawIOBase):
    """Takes what is written, and gives it away; never sought in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def zipped(images: Iterable[ShownImage], read: Callable[[ShownImage], bytes]) -> Generator[bytes]:
    """Yield a zip of images as they are stored, under their paths in the collection.

    Its times are UTC. What cannot be read is named in a text at its end. At most one image is in
    memory.
    """
    sink = _Sink()
    missing = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for image in images:
            try:
                body = read(image)
            except (Unreadable, Removed) as error:
                missing.append(f"{_name(image)}: {error}\n")
                continue
            archive.writestr(zipfile.ZipInfo(_name(image), _time(image)), body)
            yield sink.take()
        if missing:
            archive.writestr(zipfile.ZipInfo(_MISSING), "".join(missing))
    yield sink.take()


def _name(image: ShownImage) -> str:
    record = image.record
    return record.member if record.extension else f"{record.day}/{record.image_id}"


def _time(image: ShownImage) -> tuple[int, int, int, int, int, int]:
    captured_at = image.record.captured_at
    if captured_at is None:
        return _FIRST
    there = datetime.fromtimestamp(captured_at // 1000, UTC)
    time = there.year, there.month, there.day, there.hour, there.minute, there.second
    return min(max(time, _FIRST), _LAST)
