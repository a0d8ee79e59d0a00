"""Pure: text from anywhere, fit for HTML."""

from __future__ import annotations

import html
import re

from mapillary_crawler.image import fields

#: Marks of writing direction, which reach beyond the text that they are in.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
#: Code points that HTML calls an error, beyond those that `fields.text` replaces.
_NO_CHARACTER = re.compile(
    "[\ufdd0-\ufdef" + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}"
                               for plane in range(1, 17)) + "]"
)  # fmt: skip
#: Characters of a name that are shown.
NAME_LENGTH = 80


def shown(value: str, limit: int = NAME_LENGTH) -> str:
    """Return text on one line, at most `limit` characters of it, escaped for HTML."""
    clean = _NO_CHARACTER.sub("\ufffd", _DIRECTION.sub("", fields.text(value, 4 * limit)))
    cut = clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
    return html.escape(cut)


def isolated(value: str, limit: int = NAME_LENGTH) -> str:
    """Return it as an element of its own, so that its direction is nobody else's."""
    return f"<bdi>{shown(value, limit)}</bdi>"


def count(number: int, noun: str) -> str:
    """Return so many of something: 1 image, 2,000 images."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
