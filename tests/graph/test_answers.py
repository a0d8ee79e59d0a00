"""What answers of the Graph API mean: every row of what was observed, and hostile bodies."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.graph.answers import Answer, Meaning, read_answer
from mapillary_crawler.graph.api import IMAGE_FIELDS, MalformedPage, read_page
from mapillary_crawler.graph.echoes import without_echoes
from mapillary_crawler.graph.rows import image_url
from mapillary_crawler.terminal.redaction import Redactor

TOKEN = "MLY|12345678901234567|0123456789abcdef0123456789abcdef"  # no real one


def error(
    message: str = "", code: int | None = None, subcode: int | None = None, **more: Any
) -> Any:
    envelope: dict[str, Any] = {"message": message, "type": "MLYApiException", **more}
    if code is not None:
        envelope["code"] = code
    if subcode is not None:
        envelope["error_subcode"] = subcode
    return {"error": {**envelope, "fbtrace_id": "AMN5QfsCEBZg1LNVFA4bpvy"}}


def read(status: int, answer: Any, *, with_cursor: bool = False) -> Answer:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_answer(status, body, with_cursor=with_cursor)


GONE = (
    "Unsupported get request. Object with ID '1933525276802129' does not exist, cannot be loaded "
    "due to missing permissions, or does not support this operation"
)
UNAUTHORIZED = "Error validating access token: The user has not authorized application 123."

#: Graph API reference, section 5, row by row: condition, status, answer, meaning.
OBSERVED: list[tuple[str, int, Any, Meaning]] = [
    ("no token", 500, error("Invalid OAuth 2.0 Access Token", 190, error_data={}), Meaning.TOKEN),
    ("malformed, header", 401, error("Failed to decode", 190), Meaning.TOKEN),
    (
        "malformed, query",
        400,
        error("Invalid OAuth access token - Cannot parse access token", 190),
        Meaning.TOKEN,
    ),
    ("never issued, header", 401, error("Error validating application", 190), Meaning.TOKEN),
    ("never issued, query", 400, error("Error validating application", 190), Meaning.TOKEN),
    (
        "never issued, as an outage",
        500,
        error("Service temporarily unavailable", is_transient=True),
        Meaning.RETRY,
    ),
    ("one character more", 400, error("Error verifying the token"), Meaning.TOKEN),
    ("stopped working", 400, error("Invalid OAuth 2.0 Access Token", 190), Meaning.TOKEN),
    ("app withdrawn", 401, error(UNAUTHORIZED, 190), Meaning.TOKEN),
    (
        "rate limit",
        403,
        error("Application request limit reached", 4, is_transient=True),
        Meaning.PAUSE,
    ),
    ("rate limit, 429", 429, b"", Meaning.PAUSE),
    ("rate limit, 429 as HTML", 429, b"<html>", Meaning.PAUSE),
    ("rate limit, 429 with JSON", 429, {"anything": 1}, Meaning.PAUSE),
    ("rate limit, 613", 400, error("Calls to this api have exceeded", 613), Meaning.PAUSE),
    ("deleted", 400, error(GONE, 100, 33), Meaning.GONE),
    ("deleted, codes alone", 400, error("", 100, 33), Meaning.GONE),
    ("deleted, message alone", 400, error(GONE), Meaning.GONE),
    (
        "unknown field",
        400,
        error("Tried accessing nonexisting field (altitude) on node type (ChunkObject)", 100),
        Meaning.FIELD_UNKNOWN,
    ),
    (
        "box too large",
        500,
        error(
            "Bounding box area is too large. Maximum allowed area is 0.010 square degrees, but got "
            "0.075 square degrees."
        ),
        Meaning.ASK_FOR_LESS,
    ),
    (
        "too much data",
        500,
        error("Please reduce the amount of data you're asking for, then retry your request", 1),
        Meaning.ASK_FOR_LESS,
    ),
    ("too big, other form", 500, error("An unknown error occurred", 1, 99), Meaning.ASK_FOR_LESS),
    (
        "query timeout",
        400,
        error(
            "Timeout",
            -2,
            3404014,
            is_transient=False,
            error_user_title="Query Timeout",
            type="OAuthException",
        ),
        Meaning.ASK_FOR_LESS,
    ),
    ("outage", 500, error("Service temporarily unavailable", 2), Meaning.RETRY),
    ("unknown error", 500, error("An unknown error occurred", 1), Meaning.RETRY),
    ("radius", 500, error("Radius is too large"), Meaning.RETRY),
    ("silent outage", 200, {"data": []}, Meaning.DATA),
    ("block, followed", 200, b"<!DOCTYPE html><title>Log in</title>", Meaning.BLOCKED),
    ("block", 302, b"", Meaning.BLOCKED),
    # What follows stands between the rows: gateways, cut bodies, envelopes in odd places.
    ("block, moved for good", 301, b"", Meaning.BLOCKED),
    ("block, with JSON", 307, {"data": []}, Meaning.BLOCKED),
    ("block, spaces first", 200, b"\n\n  <html>", Meaning.BLOCKED),
    ("block, byte order mark", 200, b"\xef\xbb\xbf<html>", Meaning.BLOCKED),
    ("block, forbidden", 403, b"<html>", Meaning.BLOCKED),
    ("gateway", 502, b"<html>Bad Gateway</html>", Meaning.RETRY),
    ("gateway, empty", 503, b"", Meaning.RETRY),
    ("request timeout", 408, b"<html>", Meaning.RETRY),
    ("cut body", 200, b'{"data":[{"id":"1"},', Meaning.RETRY),
    ("empty body", 200, b"", Meaning.RETRY),
    ("no object", 200, b"[]", Meaning.RETRY),
    ("a string", 200, b'"x"', Meaning.RETRY),
    ("not UTF-8", 200, b'{"data":"\xff"}', Meaning.RETRY),
    ("envelope with 200", 200, error("Invalid OAuth 2.0 Access Token", 190), Meaning.TOKEN),
    ("envelope without anything", 500, {"error": {}}, Meaning.RETRY),
    ("envelope that is a text", 500, {"error": "Application request limit reached"}, Meaning.PAUSE),
    ("envelope that is null", 200, {"error": None, "data": []}, Meaning.DATA),
    ("envelope of odd types", 500, {"error": {"code": "x", "message": 7}}, Meaning.RETRY),
    ("one image", 200, {"id": "1"}, Meaning.DATA),
    ("images by id", 200, {"1": {"id": "1"}}, Meaning.DATA),
    ("data with another status", 500, {"data": []}, Meaning.RETRY),
]


@pytest.mark.parametrize(
    ("status", "answer", "meaning"), [row[1:] for row in OBSERVED], ids=[row[0] for row in OBSERVED]
)
def test_the_body_decides(status: int, answer: Any, meaning: Meaning) -> None:
    assert read(status, answer).meaning is meaning


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
def test_the_token_s_error_stops_the_run_whatever_the_status(status: int) -> None:
    assert read(status, error("Something", 190)).meaning is Meaning.TOKEN
    assert read(status, error("Something", 190, 33), with_cursor=True).meaning is Meaning.TOKEN


def test_data_is_handed_on() -> None:
    page = {"data": [{"id": "135511895288847"}], "paging": {"cursors": {"after": "x"}}}
    assert read(200, page) == Answer(Meaning.DATA, data=page)


def test_errors_name_their_subject() -> None:
    assert read(400, error(GONE, 100, 33)).subject == "1933525276802129"
    unknown = error("Tried accessing nonexisting field (quality_score) on node type (X)", 100)
    assert read(400, unknown).subject == "quality_score"
    assert read(400, error("", 100, 33)).subject is None


@pytest.mark.parametrize(
    ("status", "answer", "meaning"),
    [
        (400, error("(#100) Invalid parameter", 100), Meaning.CURSOR_REJECTED),
        (400, error("Invalid cursor"), Meaning.CURSOR_REJECTED),
        (400, error("param after must be a valid cursor"), Meaning.CURSOR_REJECTED),
        (500, error("Invalid cursor"), Meaning.RETRY),
        (400, error("Please try again after some time", 2, is_transient=True), Meaning.RETRY),
        (400, error("An unknown error occurred, see you after", 1), Meaning.RETRY),
        (400, error("Tried accessing nonexisting field (x) on", 100), Meaning.FIELD_UNKNOWN),
        (400, error(GONE, 100, 33), Meaning.GONE),
        (403, error("Application request limit reached after a while", 4), Meaning.PAUSE),
        (400, error("Timeout", -2, 3404014), Meaning.ASK_FOR_LESS),
        (400, error("Bad request"), Meaning.RETRY),
        (400, error("Unable to parse 'after'"), Meaning.CURSOR_REJECTED),
        (
            400,
            error("Something went wrong, please try again after a few minutes", -3),
            Meaning.RETRY,
        ),
    ],
)
def test_a_refusal_with_a_cursor_is_the_cursor_s_only_if_nothing_else_is_said(
    status: int, answer: Any, meaning: Meaning
) -> None:
    assert read(status, answer, with_cursor=True).meaning is meaning


def test_without_a_cursor_none_is_rejected() -> None:
    assert read(400, error("(#100) Invalid parameter", 100)).meaning is Meaning.RETRY


@pytest.mark.parametrize(
    "message",
    [
        f"Bad token {TOKEN}",
        "Bad URL https://graph.mapillary.com/images?access_token=EAAB0123456789abcdef&x=1",
        f"Bad URL ?access_token={TOKEN.replace('|', '%7C')}",
        f"Bad header OAuth {TOKEN.replace('|', '%7c')}",
        "x" * 180 + TOKEN,
    ],
)
def test_no_message_shows_a_token(message: str) -> None:
    answer = read(400, error(message))
    assert "0123456789abcdef"[:8] not in answer.message
    assert "EAAB" not in answer.message


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Invalid OAuth 2.0 Access Token", "Invalid OAuth 2.0 Access Token"),
        (UNAUTHORIZED, "Error validating access token"),
        (GONE, "Unsupported get request"),
        ("(#4) Application request limit reached for alice", "Application request limit reached"),
        ("An unknown error occurred", "unknown error"),
        ("The service is temporarily unavailable", "service is temporarily unavailable"),
        ("Cannot find user with username alice", "Cannot find user"),
        ("the password of alice is hunter2", "an error"),
        ("a\nb\x1b[31m\ud800 \u202ec" + "d" * 10_000, "an error"),
        ("", "an error"),
    ],
)
def test_of_an_error_only_words_that_are_known_are_told(message: str, said: str) -> None:
    assert read(500, error(message, 7)).message == f"{said} (HTTP 500, code 7)"


def test_a_code_that_is_none_is_not_told() -> None:
    assert read(500, error("x", 10**7)).message == "an error (HTTP 500, code None)"


# An answer that echoes the token, or costs too much

redactor = Redactor(secrets=[TOKEN, TOKEN[-32:]], hosts=())
ECHOES = [
    TOKEN,
    f"Camera {TOKEN} II",
    TOKEN.replace("|", "%7C"),
    f"https://x.example.org/a?access_token={TOKEN}&oe=1",
    f"OAuth {TOKEN}",
    TOKEN[-32:],
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("escaped", ["not", "all", "UTF-16"])
def test_no_text_of_an_answer_holds_the_token(echo: str, escaped: str) -> None:
    row = {
        "id": echo,
        "make": echo,
        "sequence": echo,
        "thumb_256_url": echo,
        "creator": {"username": echo, echo: 1},
        "camera_parameters": [1, [echo, {"x": [echo]}]],
        "model": "MLY, honestly",
    }
    text = json.dumps({"data": [row], "paging": {"cursors": {"after": echo}, "next": echo}})
    if escaped == "all":
        for character in "MLY|":
            text = text.replace(character, f"\\u{ord(character):04x}")
    body = text.encode("utf-16" if escaped == "UTF-16" else "utf-8")
    found = read_answer(200, body, redactor=redactor)
    assert found.meaning is Meaning.DATA
    assert TOKEN[-8:] not in json.dumps(found.data)
    assert "MLY|" not in json.dumps(found.data)
    assert found.data["data"][0]["model"] == "MLY, honestly"
    assert image_url(found.data["data"][0]["thumb_256_url"]) is None
    with pytest.raises(MalformedPage):
        read_page({**found.data, "data": []})


def test_an_answer_without_it_is_what_it_was() -> None:
    page = {"data": [{"id": "1", "make": "\u003cb\u003e", "thumb_256_url": "https://x/a?oe=1"}]}
    assert read_answer(200, json.dumps(page).encode(), redactor=redactor).data == page
    assert read(200, {"data": [{"make": TOKEN}]}).data["data"][0]["make"] == TOKEN


def test_a_page_without_a_mark_of_a_token_is_not_walked_through() -> None:
    page = {"data": [{"make": "é", "url": "https://x/AdMLYa?oe=1"}], "paging": {"next": "MLY"}}

    def redact(text: str) -> str:
        raise AssertionError(text)

    assert without_echoes(json.dumps(page).encode(), page, [TOKEN], redact) == page


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[' + b"{}," * 600_000 + b"{}]}",
        b'{"data":[' + b"[]," * 600_000 + b"[]]}",
        b'{"data":[' + b"0," * 600_000 + b"0]}",
        b'{"data":["' + b"x" * (16 << 20) + b'"]}',
        b'{"data":[' + b"[" * 600_000 + b"]" * 600_000 + b"]}",
    ],
    ids=["objects", "lists", "numbers", "text", "depth"],
)
def test_an_answer_beyond_reason_is_not_decoded_but_asked_for_in_parts(body: bytes) -> None:
    tracemalloc.start()
    try:
        assert read_answer(200, body).meaning is Meaning.ASK_FOR_LESS
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_largest_page_that_is_served_is_none() -> None:
    row = {name: [1.0, 2.0, {"x": "y" * 20}] for name in IMAGE_FIELDS}
    body = json.dumps({"data": [row] * 2000}).encode()
    assert read_answer(200, body).meaning is Meaning.DATA


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" + b"]" * depth


@pytest.mark.parametrize(
    ("row", "meaning"),
    [
        (b'{"id":"1","x":' + nested(100_000) + b"}", Meaning.DATA),
        (b'{"id":"1","x":' + b'{"x":' * 50_000 + b"1" + b"}" * 50_000 + b"}", Meaning.DATA),
        (b'{"id":"1","x":' + b"9" * 100_000 + b"}", Meaning.DATA),
        (b'{"id":"1","x":-' + b"9" * 100_000 + b"}", Meaning.DATA),
        (b'{"id":"1","x":1e999999}', Meaning.DATA),
        (b'{"id":"1","x":NaN}', Meaning.DATA),
        (b'{"id":"1","x":"' + b"\\ud800" * 10_000 + b'"}', Meaning.DATA),
        (b'{"id":"1","x":' + nested(100_000) + b"," + b"9" * 100_000 + b"]}", Meaning.RETRY),
        (b'{"id":"1","x":' + b"[" * 100_000, Meaning.RETRY),
        (b'{"id":"1","x":' + b"]" * 100_000, Meaning.RETRY),
    ],
    ids=[
        "lists",
        "objects",
        "integer",
        "negative",
        "float",
        "nan",
        "surrogates",
        "both",
        "open",
        "closed",
    ],
)
def test_one_hostile_row_does_not_cost_its_page(row: bytes, meaning: Meaning) -> None:
    answer = read_answer(200, b'{"data":[' + row + b',{"id":"2"}]}')
    assert answer.meaning is meaning
    if meaning is Meaning.DATA:
        assert [found["id"] for found in answer.data["data"]] == ["1", "2"]


def test_deep_utf_16_is_no_answer_and_no_crash() -> None:
    body = ("\u2200" + "[" * 100_000).encode("utf-16")
    assert read_answer(200, body).meaning is Meaning.RETRY


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.sampled_from([190, 100, 33, 4, -2, 1, 99, GONE, "after"])
        for name in ("message", "type", "code", "error_subcode", "is_transient", "error_user_title")
    },
)


@given(st.integers(100, 599), st.binary() | st.sampled_from([b"[" * 5000]), st.booleans())
def test_no_bytes_break_it(status: int, body: bytes, with_cursor: bool) -> None:
    answer = read_answer(status, body, with_cursor=with_cursor)
    assert answer.message.isprintable()


@given(st.integers(100, 599), envelopes | json_values, st.booleans())
def test_no_envelope_breaks_it(status: int, envelope: Any, with_cursor: bool) -> None:
    answer = read(status, {"error": envelope}, with_cursor=with_cursor)
    assert answer.message.isprintable()
    assert not answer.data or (status == 200 and envelope is None)


def test_an_error_nested_deep_is_an_error() -> None:
    body = b'{"error":{"message":' + nested(950) + b',"code":' + nested(950) + b"}}"
    assert read_answer(500, body).meaning is Meaning.RETRY


@pytest.mark.parametrize(
    ("name", "status", "meaning"),
    [
        ("application_request_limit_reached", 403, Meaning.PAUSE),
        ("internal_server_error", 500, Meaning.TOKEN),
        ("135511895288847", 200, Meaning.DATA),
        ("image_ids-7nfcwfvjdtphz7yj6zat6a", 200, Meaning.DATA),
        ("104214208486350", 200, Meaning.DATA),
    ],
)
def test_recorded_answers(name: str, status: int, meaning: Meaning, shared_folder: Path) -> None:
    path = shared_folder / "graph-responses" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is absent from ../shared/data/graph-responses")
    answer = read_answer(status, path.read_bytes())
    assert answer.meaning is meaning
    assert bool(answer.data) is (meaning is Meaning.DATA)
