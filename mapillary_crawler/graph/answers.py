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

from mapillary_crawler.graph.echoes import without_echoes
from mapillary_crawler.terminal.redaction import Redactor


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

#: What the API is known to say, which may be repeated; anything else might hold a secret.
_WORDS = re.compile(
    r"invalid oauth 2\.0 access token|cannot parse access token|failed to decode"
    r"|error validating (access token|application)|error verifying the token"
    r"|(application )?request limit reached|calls to this api have exceeded"
    r"|reduce the amount of data|bounding box area is too large|query timeout|timeout"
    r"|(service|is) (is )?temporarily unavailable|unknown error|unsupported get request"
    r"|nonexisting field|cannot find user|too many ids|invalid (parameter|cursor)",
    re.IGNORECASE,
)

#: Bytes of an answer; a page of 2000 rows has about 4 MB. Decoded it may be 25 times as large.
MOST_BYTES = 16 * 1024 * 1024
#: Values of an answer, each some 60 bytes of memory; a page of 2000 rows has about 100,000.
_MOST_VALUES = 500_000

#: Digits of the longest integer that Python reads.
_DIGITS = sys.int_info.default_max_str_digits

#: Graph API: application, user and call limits, and "too many calls".
_LIMIT_CODES = frozenset({4, 17, 32, 613})
#: Graph API: "unknown error" and "service unavailable", whatever the message says besides.
_OUTAGE_CODES = frozenset({1, 2})


def read_answer(
    status: int, body: bytes, *, with_cursor: bool = False, redactor: Redactor | None = None
) -> Answer:
    """Return what an answer means.

    `with_cursor` says that the request carried one: a refusal of its parameters is then
    taken for the cursor's. `redactor` knows the token, which no data has then.
    """
    if 300 <= status < 400:
        return Answer(Meaning.BLOCKED, f"a redirect (HTTP {status})")
    if _is_beyond_reason(body):
        return Answer(Meaning.ASK_FOR_LESS, f"an answer beyond reason ({len(body):,} bytes)")
    data = _decoded(body)
    if not isinstance(data, dict):
        return _no_object(status, body)
    if (error := data.get("error")) is not None:
        return _error(status, error, with_cursor=with_cursor)
    if status != 200:
        return _no_object(status, b"")
    if redactor:
        data = without_echoes(body, data, redactor.secrets, redactor.without_tokens)
    return Answer(Meaning.DATA, data=data)


def _no_object(status: int, body: bytes) -> Answer:
    """Return what an answer without data and without an error of its own means."""
    if status < 500 and status not in (408, 429) and _is_html(body):
        return Answer(Meaning.BLOCKED, f"an HTML page instead of JSON (HTTP {status})")
    if status == 429:
        return Answer(Meaning.PAUSE, "too many requests (HTTP 429)")
    what = "an answer that is no JSON object" if status == 200 else "an error without a body"
    return Answer(Meaning.RETRY, f"{what} (HTTP {status})")


def _is_beyond_reason(body: bytes) -> bool:
    """Say whether a body would cost more memory than any answer that was asked for."""
    return len(body) > MOST_BYTES or sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES


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
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer too long for Python; asking of each whether it is takes longer
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
    texts = (details.get(name) for name in ("message", "error_user_title"))
    message = next((text for text in texts if isinstance(text, str) and text), "")
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
    words = _WORDS.search(message)
    said = words.group() if words else "an error"
    return Answer(meaning, f"{said} (HTTP {status}, code {code})", subject=subject)


def _number(value: Any) -> int | None:
    """Return a code; none has more than seven digits."""
    return value if isinstance(value, int) and abs(value) < 10**7 else None
