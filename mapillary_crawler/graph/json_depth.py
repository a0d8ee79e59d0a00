"""Pure: JSON nested deeper than the parser goes, made parsable."""

from __future__ import annotations

import re

#: Strings and brackets; possessive, since a repeated group that can go back keeps every step.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def flatten(document: bytes, depth: int = 100) -> bytes:
    """Return `document` with everything nested deeper than `depth` replaced by null.

    A hostile row must not cost the page it came with. Runs in linear time and
    without recursion; malformed JSON stays malformed.
    """
    kept: list[bytes] = []
    level, copied = 0, 0
    for token in _TOKENS.finditer(document):
        if token[0] in (b"[", b"{"):
            if level == depth:
                kept.append(document[copied : token.start()] + b"null")
            level += 1
        elif token[0] in (b"]", b"}"):
            level -= 1
            if level == depth:
                copied = token.end()
    if level <= depth:
        kept.append(document[copied:])
    return b"".join(kept)
