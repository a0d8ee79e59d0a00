"""Pure: what an answer of the Graph API means; decided by its body, not by its status.

Graph API: a bad token can answer 500, a deleted image 400, a rate limit 403 and a
query time-out 400, so a status alone says nothing.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from mapillary_crawler.terminal.quoting import one_line


class Meaning(Enum):
    """What the crawl does about an answer."""

    DATA = auto()  #: use it
    TOKEN = auto()  #: the token is refused: stop the run
    BLOCKED = auto()  #: a redirect or an HTML page: stop, never ask again in this run
    GONE = auto()  #: the object asked for does not exist
    RETRY = auto()  #: ask again later
    ASK_FOR_LESS = auto()  #: ask again later, for fewer rows
    PAUSE = auto()  #: a rate limit: ask nothing for minutes
    FIELD_UNKNOWN = auto()  #: ask again without the field named
    CURSOR_REJECTED = auto()  #: list again from the start


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and what it means; `subject` is the id or field that an error names."""

    meaning: Meaning
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    subject: str | None = None


_TOKEN = re.compile(
    r"access token|failed to decode|error validating application|verifying the token", re.IGNORECASE
)
_LESS = re.compile(r"reduce the amount of data|area is too large", re.IGNORECASE)
_LIMIT = re.compile(r"request limit|rate limit|too many (calls|requests)", re.IGNORECASE)
_GONE = re.compile(r"object with id '([^']*)' does not exist", re.IGNORECASE)
_FIELD = re.compile(r"nonexisting field \(([A-Za-z0-9_.]+)\)", re.IGNORECASE)
#: "Try again after some minutes" is none.
_CURSOR = re.compile(r"cursor|[\"'(?&]after\b|\bparameter:? after\b", re.IGNORECASE)

#: Strings and brackets; possessive, since a repeated group that can go back keeps every step.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)

#: Digits of the longest integer that Python reads.
_DIGITS = sys.int_info.default_max_str_digits

#: Graph API: application, user and call limits, and "too many calls".
_LIMIT_CODES = frozenset({4, 17, 32, 613})
#: Graph API: "unknown error" and "service unavailable", whatever the message says besides.
_OUTAGE_CODES = frozenset({1, 2})


def read_answer(status: int, body: bytes, *, with_cursor: bool = False) -> Answer:
    """Return what an answer means.

    `with_cursor` says that the request carried one: a refusal of its parameters is then
    taken for the cursor's.
    """
    if 300 <= status < 400:
        return Answer(Meaning.BLOCKED, f"a redirect (HTTP {status})")
    data = _decoded(body)
    if isinstance(data, dict):
        error = data.get("error")
        if error is not None:
            return _error(status, error, with_cursor=with_cursor)
        if status == 200:
            return Answer(Meaning.DATA, data=data)
    elif status < 500 and status not in (408, 429) and _is_html(body):
        return Answer(Meaning.BLOCKED, f"an HTML page instead of JSON (HTTP {status})")
    if status == 429:
        return Answer(Meaning.PAUSE, "too many requests (HTTP 429)")
    what = "an answer that is no JSON object" if status == 200 else "an error without a body"
    return Answer(Meaning.RETRY, f"{what} (HTTP {status})")


def _decoded(body: bytes) -> Any:
    """Return the JSON of a body, None if it is none; what is nested too deep is left out."""
    try:
        return _parsed(body)
    except ValueError:
        return None
    except RecursionError:
        pass
    with suppress(ValueError, RecursionError):
        return _parsed(flatten(body))
    return None


def _parsed(body: bytes) -> Any:
    return json.loads(body, parse_int=_integer)


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


def _integer(digits: str) -> int | None:
    """Return an integer, None for one so long that Python would refuse the whole answer."""
    return int(digits) if len(digits) <= _DIGITS else None


def _is_html(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def _error(status: int, error: Any, *, with_cursor: bool) -> Answer:
    details: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    code, subcode = (_number(details.get(name)) for name in ("code", "error_subcode"))
    said = (details.get(name) for name in ("message", "error_user_title"))
    message = next((text for text in said if isinstance(text, str) and text), "")
    gone, unknown = _GONE.search(message), _FIELD.search(message)
    subject = None
    if code == 190 or _TOKEN.search(message):
        meaning = Meaning.TOKEN
    elif (code == 100 and subcode == 33) or gone:
        meaning, subject = Meaning.GONE, gone[1] if gone else None
    elif unknown:
        meaning, subject = Meaning.FIELD_UNKNOWN, unknown[1]
    elif _LESS.search(message) or code == -2 or subcode in (99, 3404014):
        meaning = Meaning.ASK_FOR_LESS
    elif code in _LIMIT_CODES or status == 429 or _LIMIT.search(message):
        meaning = Meaning.PAUSE
    elif (
        with_cursor
        and status < 500
        and code not in _OUTAGE_CODES
        and (code == 100 or _CURSOR.search(message))
    ):
        meaning = Meaning.CURSOR_REJECTED
    else:
        meaning = Meaning.RETRY
    return Answer(
        meaning, f"{one_line(message, 200)} (HTTP {status}, code {code})", subject=subject
    )


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None
