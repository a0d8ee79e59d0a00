"""`__ia_thumb.jpg`: the picture that archive.org shows for an item."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from PIL import Image, ImageOps

from mapillary_crawler.archive.finish.day_folder import MemberChanged, read
from mapillary_crawler.archive.finish.manifests import record
from mapillary_crawler.archive.finish.parts import size_of
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import WholeFile
from mapillary_crawler.collection.layout import THUMBNAIL
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.image.encoders import EncodeInterrupted
from mapillary_crawler.image.jxl import JxlError
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.records import ImageRecord, State

_SIDE = 256
_QUALITY = 85
#: Images tried before a collection is taken for one that has none to show.
_CANDIDATES = 100
#: Why a JPEG XL does not give back its JPEG here: the image, the machine, or no decoder.
_NO_JPEG = (JxlError, EncodeInterrupted, Refused)


def write_thumbnail(work: Work) -> None:
    """Write the thumbnail of the first saved image that can be read and opened.

    Where there is none, one of an earlier finish stays.
    """
    with Decoder() as jpeg_of:
        for image in islice(_undamaged(work), _CANDIDATES):
            work.check_stop()
            thumbnail = None
            with suppress(MemberChanged, FileNotFoundError, *_NO_JPEG):
                body = image_bytes(work.folder, image)
                thumbnail = shrink(jpeg_of(body) if image.extension == "jxl" else body)
            if thumbnail:
                with WholeFile(work.folder / THUMBNAIL, work.scratch) as file:
                    file.write(thumbnail)
                record(work, file)
                return


def _undamaged(work: Work) -> Iterator[ImageRecord]:
    return (image for image in streams.in_order(work.ledger) if image.state is State.SAVED)


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


def shrink(body: bytes) -> bytes | None:
    """Return an image, upright, as a JPEG of at most 256 pixels a side; None if it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes and odd metadata, of files judged before
        try:
            with Image.open(io.BytesIO(body)) as image:
                image.draft("RGB", (_SIDE, _SIDE))
                image.thumbnail((_SIDE, _SIDE))
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except Exception:  # noqa: BLE001  Pillow raises what it likes; the next image may do
            return None
    packed = io.BytesIO()
    upright.save(packed, "JPEG", quality=_QUALITY)
    return packed.getvalue()
