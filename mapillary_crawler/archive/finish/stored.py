"""The bytes of one image, wherever it is stored: in a tar, or as the file that it still is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mapillary_crawler.archive.finish.day_folder import MemberChanged, read
from mapillary_crawler.archive.finish.parts import size_of
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection import descent
from mapillary_crawler.ledger.records import ImageRecord


def image_bytes(folder: Path, image: ImageRecord) -> bytes:
    """Return a stored image, from its tar or from the file that it still is.

    Raises `MemberChanged` or `FileNotFoundError` if it is not there.
    """
    if image.tar is None:
        return b"".join(read(folder, image))
    assert image.offset is not None
    with os.fdopen(descent.open_file(folder, image.tar), "rb") as tar:
        tar.seek(image.offset)
        return tar.read(size_of(image))


def stored_bytes(work: Work, image: ImageRecord) -> bytes:
    """Return an image, proven by its checksum, from where the work goes on or looks elsewhere.

    Raises `MemberChanged` if it is in none of the folders.
    """
    for folder in (work.folder, *work.elsewhere):
        try:
            body = image_bytes(folder, image)
        except (MemberChanged, FileNotFoundError):
            continue
        if hashlib.sha256(body).digest() == image.sha256_stored:
            return body
    raise MemberChanged
