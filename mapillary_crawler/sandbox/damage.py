"""Bodies that are not what they claim to be, all with status 200 and a matching Content-Length."""

from __future__ import annotations

import struct
from functools import cache
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image as Pillow

from .answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .weather import Chance

_END = b"\xff\xd9"


def truncated(body: bytes) -> bytes:
    """Return the first half."""
    return body[: len(body) // 2]


def truncated_closed(body: bytes) -> bytes:
    """Return the first half and an end marker."""
    return truncated(body) + _END


def zero_filled(body: bytes) -> bytes:
    """Return the first half and zeros to the old length."""
    return truncated(body).ljust(len(body), b"\0")


def zero_filled_closed(body: bytes) -> bytes:
    """Return the first half, zeros, and an end marker at the old length."""
    return zero_filled(body)[:-2] + _END


def absurd(body: bytes) -> bytes:
    """Return a small JPEG whose frame header claims 65,500 x 65,500 pixels."""
    at = 2
    while body[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + struct.unpack(">H", body[at + 2 : at + 4])[0]
    return body[: at + 5] + struct.pack(">HH", 65500, 65500) + body[at + 9 :]


def without_end(body: bytes) -> bytes:
    """Return a JPEG without its end marker and what follows it."""
    return body[: body.rindex(_END)]


def in_other_format(body: bytes, image_id: str) -> tuple[bytes, str]:
    """Return the picture in another format, with the id in it, and the name of the format."""
    mark = image_id.encode("utf-8", "surrogatepass")
    kind = _OTHER_FORMATS[sum(mark) % len(_OTHER_FORMATS)]
    target = BytesIO()
    with Pillow.open(BytesIO(body)) as picture:
        # In each a small picture of its own: no two bodies are equal.
        own = picture.convert("RGB")
    own.paste(tuple(sha256(mark).digest()[:3]), (0, 0, 16, 16))
    own.save(target, kind, **({"speed": 10} if kind == "AVIF" else {}))
    return target.getvalue(), kind.lower()


@cache
def placeholder() -> bytes:
    """Return the PNG that is served for any image."""
    target = BytesIO()
    Pillow.new("RGB", PLACEHOLDER, "gray").save(target, "PNG")
    return target.getvalue()


#: Pixels of the placeholder: those of the smallest thumb of most images.
PLACEHOLDER = (256, 192)
_OTHER_FORMATS = ("PNG", "GIF", "WEBP", "AVIF")
_TRANSIENT: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("empty", lambda _: b""),
    ("truncated", truncated),
    ("truncated_closed", truncated_closed),
    ("zero_filled", zero_filled),
    ("zero_filled_closed", zero_filled_closed),
)
#: What damage at the source looks like; always a body that starts as a JPEG.
_AT_SOURCE = (truncated, truncated_closed, zero_filled, zero_filled_closed)


def spoil(answer: Answer, image_id: str, nth: int, chance: Chance) -> Answer:
    """Return the answer for an image as it is served the nth time."""
    body = answer.body
    if chance.holds("cdn", "other_format", image_id):
        body, kind = in_other_format(body, image_id)
        return Answer(200, body, f"image/{kind}", answer.headers)
    if chance.holds("cdn", "placeholder", image_id):
        return Answer(200, placeholder(), "image/png", answer.headers)
    if chance.holds("cdn", "absurd", image_id):
        body = absurd(body)
    elif chance.holds("cdn", "endless", image_id):
        body = body.ljust(chance.faults.cdn.endless_bytes, b"\0")
    elif chance.holds("cdn", "no_end", image_id):
        body = without_end(body)
    elif chance.holds("cdn", "damaged", image_id):
        body = at_source(body, image_id)
    else:
        for fault, change in _TRANSIENT:
            if chance.strikes("cdn", fault, image_id, nth):
                body = change(body)
                break
    return answer if body is answer.body else Answer(200, body, "image/jpeg", answer.headers)


def at_source(body: bytes, image_id: str) -> bytes:
    """Return the body of an image that is damaged at its source, the same each time."""
    return _AT_SOURCE[sum(image_id.encode("utf-8", "surrogatepass")) % len(_AT_SOURCE)](body)
