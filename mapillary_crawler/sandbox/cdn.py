"""The image CDN: signed, expiring URLs of about 430 characters, and what they serve.

Graph API reference, "Image URLs": the four sizes of an image share path, `oe` and `_nc_*` and
differ in `stp` and `oh`; originals have no `stp`; any change of the query is a 403.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import identifiers
from .answer import Answer
from .photographs import WIDTHS

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .image import Image
    from .photographs import Photograph

PATH = "/m1/v/t6/"
#: Length of a URL of an original; `stp` makes those of thumbs 13 to 16 longer.
_LENGTH = 428
_SIGNATURE = re.compile(r"&oh=(00_Af[A-Za-z0-9_-]{32})&oe=([0-9A-F]{8})&")
_STP = re.compile(r"\?stp=s([0-9]+)x[0-9]+&")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a URL stands for, if its signature is good."""

    image: Image
    quality: str
    expires: int

    @property
    def file(self) -> tuple[Photograph, str]:
        """What of the pool it is made of."""
        return self.image.photograph, self.quality


class Cdn:
    """Signs the URLs of a catalogue's images and answers requests for them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._seed = catalogue.seed
        self._mask = int.from_bytes(identifiers.digest(self._seed, "mask", size=8))

    def url(self, image: Image, quality: str, origin: str, expires: int) -> str:
        """Return the signed URL of an image at a quality, good until `expires` (Unix seconds)."""
        width, height = image.photograph.size(quality)
        stp = f"stp=s{width}x{height}&" if quality != "original" else ""
        path = self._path(image.number)
        gid = identifiers.digest(self._seed, image.number, expires, "gid")
        fixed = len(origin) + len(path) + len("?edm=AOnQwmMEAAAA&_nc_gid=&_nc_oc=&ccb=10-5")
        fixed += 22 + len("&oh=00_Af&oe=68B04FC4&_nc_sid=201bca") + 32
        free = max(20, _LENGTH - fixed + image.number % 2)
        oc = (identifiers.encode(gid[16:]) * 3)[:free]
        start = f"{stp}edm=AOnQwmMEAAAA&_nc_gid={identifiers.encode(gid[:16])}&_nc_oc={oc}&ccb=10-5"
        end = f"&oe={expires:08X}&_nc_sid=201bca"
        return f"{origin}{path}?{start}&oh={self._signature(path, start, end)}{end}"

    def claim(self, target: str) -> Claim | None:
        """Return what a request's path and query stand for, None if the signature is wrong."""
        path, _, query = target.partition("?")
        found = _SIGNATURE.search(query)
        image = self._image(path)
        if found is None or image is None:
            return None
        start, end = query[: found.start()], query[found.end(1) :]
        if self._signature(path, start, end) != found[1]:
            return None
        stp = _STP.match("?" + query)
        return Claim(image, _quality(stp[1] if stp else None, image), int(found[2], 16))

    def answer(self, claim: Claim | None) -> Answer:
        """Answer a request without faults."""
        if claim is None:
            return Answer.of_text("Bad URL hash", 403)
        if claim.expires < time.time():
            return Answer.of_text("URL signature expired", 403)
        body = self.catalogue.body(claim.image, claim.quality)
        return Answer(200, body, "image/jpeg", {"Cache-Control": "max-age=1209600"})

    def _path(self, number: int) -> str:
        """Return the path of an image's file, the same for all its sizes and for ever."""
        key = identifiers.digest(self._seed, "file", number)
        # The number leads, masked, so that the path can be read back without a table.
        head = (number ^ self._mask).to_bytes(8)
        return PATH + "An" + identifiers.encode(head + key + key[:36])

    def _image(self, path: str) -> Image | None:
        head = identifiers.decode(path[len(PATH) + 2 :])[:8]
        image = self.catalogue.by_number(int.from_bytes(head) ^ self._mask)
        return image if image and self._path(image.number) == path else None

    def _signature(self, path: str, start: str, end: str) -> str:
        key = identifiers.digest(self._seed, "signature", path, start, end, size=24)
        return "00_Af" + identifiers.encode(key)


def _quality(width: str | None, image: Image) -> str:
    """Return the quality that `stp` names; small uploads have the same size at several."""
    for quality in WIDTHS:
        if width and str(image.photograph.size(quality)[0]) == width:
            return quality
    return "original"
