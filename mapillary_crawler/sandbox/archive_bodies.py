"""The bytes of uploads, kept in a folder where one is given, and served from there."""

from __future__ import annotations

import mimetypes
import re
import tempfile
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, BinaryIO

from .answer import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from .answer import Request
    from .archive_item import Item
    from .archive_tasks import ReceivedFile

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")
#: A file whose bytes are not those that were uploaded has each of them inverted.
_INVERTED = bytes(range(255, -1, -1))


class Bodies:
    """`folder`/identifier/name are the files of items; nothing is kept without a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def begin(self) -> BinaryIO | None:
        """Return a file that takes a body while it is sent, None if none is kept."""
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False)  # type: ignore[return-value]

    def hold(self, file: ReceivedFile) -> ReceivedFile:
        """Return an accepted file whose body is kept for its task."""
        if file.body is None:
            return file
        return replace(file, body=file.body.rename(file.body.with_suffix(".accepted")))

    def place(self, identifier: str, file: ReceivedFile) -> None:
        """Move the body of a file to where its item has it."""
        if self._folder is not None and file.body is not None:
            place = self._folder / identifier / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            file.body.replace(place)

    def drop(self, file: ReceivedFile) -> None:
        """Forget the body of a file that was lost."""
        if file.body is not None:
            file.body.unlink(missing_ok=True)

    def answer(self, request: Request, identifier: str, item: Item | None, name: str) -> Answer:
        """Answer a download: whole, or the range that is asked for.

        RFC 9110: a range that is none, and one behind an If-Range that is no longer so, is
        ignored; several ranges at once may be, and are.
        """
        if item is not None and item.is_dark:
            return Answer.of_text("Item not available", 403)
        entry = item.file(name) if item else None
        place = self._folder / identifier / name if self._folder else None
        if item is None or entry is None or place is None or not place.is_file():
            return Answer.of_text("Not Found", 404)
        size = place.stat().st_size
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{entry.get("md5", size)}"',
            "Last-Modified": formatdate(
                int(entry.get("mtime", place.stat().st_mtime)), usegmt=True
            ),
        }
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        wanted = _wanted(request, headers, size)
        if wanted is not None and wanted.start >= wanted.stop:
            return Answer(416, b"", kind, {**headers, "Content-Range": f"bytes */{size}"})
        status, part = (200, range(size)) if wanted is None else (206, wanted)
        if wanted is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        with place.open("rb") as file:
            file.seek(part.start)
            body = file.read(len(part))
        if item.received.get(name, entry.get("md5")) != entry.get("md5"):
            body = body.translate(_INVERTED)
        return Answer(status, body, kind, headers)


def _wanted(request: Request, headers: dict[str, str], size: int) -> range | None:
    """Return the bytes that are asked for, none of them if there are none, None for all."""
    found = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    condition = request.headers.get("If-Range")
    if found is None or condition not in (None, headers["ETag"], headers["Last-Modified"]):
        return None
    first, last = found["first"], found["last"]
    if not first:
        return range(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
