"""What passes by itself and what does not, and how long is waited for it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import (
    BadDigest,
    Denied,
    SlowDown,
    StillUnavailable,
    Trouble,
    Unavailable,
    trouble,
)


def xml(code: str, message: str = "It is so.") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>".encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, xml("SlowDown"), SlowDown),
        (503, b"", SlowDown),
        (503, xml("SlowDown", "Your upload appears to be spam"), Denied),
        (503, xml("ServiceUnavailable"), Unavailable),
        (400, xml("BadDigest"), BadDigest),
        (400, xml("RequestTimeout"), Unavailable),
        (400, xml("MetadataTooLarge"), Denied),
        (403, xml("AccessDenied"), Denied),
        (401, b"", Denied),
        (404, xml("NoSuchBucket"), Denied),
        (409, xml("OperationAborted"), Unavailable),
        (429, b"<html>", Unavailable),
        (500, b"\xff\xfe", Unavailable),
        (504, b"", Unavailable),
    ],
)
def test_answers(status, body, kind):
    found = trouble(status, body)
    assert type(found) is kind
    assert str(status) in str(found)


def test_the_message_is_one_line_and_unescaped():
    assert str(trouble(403, xml("AccessDenied", "You &lt;lack&gt;\n  rights"))) == (
        "HTTP 403 AccessDenied: You <lack> rights"
    )


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("You lack sufficient privileges.", "Access Denied - You lack sufficient privileges."),
        ("Your upload appears\n to be spam", "Access Denied - Your upload appears to be spam"),
        ("/mapillary-ann-original/2024-01-15.tar", "Access Denied"),
        ("Your request 'PUT /a b' is not", "Access Denied"),
        ("The header was LOW key:SECRET, so", "Access Denied - The header was LOW … so"),
        ("\x1b[31mred one", "Access Denied - \ufffd[31mred one"),
        ("", "Access Denied"),
    ],
)
def test_what_archive_org_says_besides_is_shown(resource, said):
    body = xml("AccessDenied", "Access Denied") + f"<Resource>{resource}</Resource>".encode()
    found = trouble(403, body)
    assert str(found) == f"HTTP 403 AccessDenied: {said}"
    assert found.explained is (" - " in said)


def test_a_long_reason_is_shown_as_far_as_it_is_of_use():
    body = xml("AccessDenied") + b"<Resource>why " + b"x" * 1500 + b"</Resource>"
    assert len(str(trouble(403, body))) < 600
    assert "why xxx" in str(trouble(403, body))


@given(st.integers(100, 599), st.binary(max_size=300))
def test_no_answer_is_too_odd(status, body):
    found = trouble(status, body)
    assert isinstance(found, Trouble)
    assert "\n" not in str(found)


class Clock:
    def __init__(self):
        self.now = 0.0
        self.waits = []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def retry(clock):
    return Retry(10, 1000, lambda _: None, clock.sleep, lambda: clock.now, Random(1))


def failing(times, error):
    left = [error] * times

    def work():
        if left:
            raise left.pop()
        return "done"

    return work


def test_patience_ends_whatever_a_server_asks_for(retry, clock):
    with pytest.raises(StillUnavailable):
        retry("x", failing(9, SlowDown("away", str(30 * 86_400))))
    assert sum(clock.waits) == 1000


def test_waits_grow_and_have_a_cap(retry, clock):
    retry.patience = 10**9
    assert retry("x", failing(9, Unavailable("away"))) == "done"
    for number, wait in enumerate(clock.waits):
        expected = 10 * min(2**number, 60)
        assert 0.75 * expected <= wait <= 1.25 * expected


def test_patience_ends(retry, clock):
    with pytest.raises(StillUnavailable, match=r"x: .* unavailable for 1\d{3} s"):
        retry("x", failing(10**6, Unavailable("away")))
    assert 1000 <= clock.now < 2000


def test_what_does_not_pass_is_not_waited_for(retry, clock):
    with pytest.raises(Denied):
        retry("x", failing(1, Denied("no", 403)))
    assert clock.waits == []


def test_retry_after_is_heard(retry, clock):
    retry("x", failing(1, SlowDown("slow", "77")))
    assert clock.waits == [77.0]
    retry("x", failing(1, SlowDown("slow", "no number")))
    assert clock.waits[1] < 77
