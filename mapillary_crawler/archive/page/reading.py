"""Pure: the pictures of a page, taken back out of it.

A page that came from elsewhere is hostile input: what is not exactly as html.py writes it is
passed over. Whether it is a JPEG is the question of who takes it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from mapillary_crawler.archive.page.contents import MOST_SAMPLES
from mapillary_crawler.ledger.records import SAMPLE_BYTES

#: Bytes of a page at most; those of this program have less than a third of that.
PAGE_BYTES = 2_000_000
_PICTURE = re.compile(
    rb'<img class="sample" data-day="([0-9]{4}-[0-9]{2}-[0-9]{2}|unknown-date)" '
    rb'data-image="([A-Za-z0-9_.~%%-]{1,1200})" alt="[^"<>]{0,60}" '
    rb'src="data:image/jpeg;base64,([A-Za-z0-9+/]{1,%d}={0,2})">' % (SAMPLE_BYTES * 4 // 3 + 4)
)


class FoundPicture(NamedTuple):
    """A picture of a page: its day, the id of the image that it is made of, and the JPEG."""

    day: str
    image_id: str
    jpeg: bytes


def pictures(page: bytes) -> Iterator[FoundPicture]:
    """Yield the pictures of a page, at most as many as one has."""
    for found in islice(_PICTURE.finditer(page[:PAGE_BYTES]), MOST_SAMPLES):
        day, image_id, packed = (group.decode() for group in found.groups())
        try:
            jpeg = base64.b64decode(packed, validate=True)
        except ValueError:
            continue
        if len(jpeg) <= SAMPLE_BYTES:
            yield FoundPicture(day, unquote(image_id), jpeg)
