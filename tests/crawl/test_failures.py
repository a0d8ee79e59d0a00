"""What a failed attempt at an image costs it, and when it is tried again."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.crawl.failures import (
    Refusal,
    TransferFailed,
    UrlRefused,
    failure,
    is_gone,
    refuse_status,
)
from mapillary_crawler.image.inspection import DamagedImage, NotAnImage, NotJudged
from mapillary_crawler.ledger.records import FailedAttempt

NOW = 1_700_000_000.0
REFUSED = [Refusal(status, f"HTTP {status}") for status in (403, 404, 410)]
UNWELL = [Refusal(status, f"HTTP {status}") for status in (429, 500, 502, 503)]
NO_ANSWER = TransferFailed("ConnectionLost")
BAD_URL = UrlRefused("a private address")
BAD_BODY = [DamagedImage("Premature end of JPEG file"), NotAnImage("an HTML page")]


def attempt(
    trouble: Exception,
    *,
    attempts: int = 0,
    fresh: bool = False,
    outage: bool = False,
    seed: int = 1,
) -> FailedAttempt:
    return failure(
        7,
        trouble,
        attempts=attempts,
        most_attempts=6,
        now=NOW,
        fresh=fresh,
        outage=outage,
        random=Random(seed),
    )


def test_a_whole_answer_is_not_refused() -> None:
    refuse_status(200, b"\xff\xd8")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, b"URL signature expired", "HTTP 403 URL signature expired"),
        (403, b"URL signature mismatch: MLY|1|2", "HTTP 403 URL signature mismatch"),
        (403, b"Bad\n\n URL\thash ", "HTTP 403 Bad URL hash"),
        (404, b"", "HTTP 404"),
        (404, b"not found", "HTTP 404 not found"),
        (503, b"<html>" * 200, "HTTP 503 with a web page"),
        (204, b"", "HTTP 204"),
        (206, b"\xff\xd8", "HTTP 206 with a JPEG"),
        (302, b"", "HTTP 302"),
        (500, b'{"error": "the key is hunter2"}', "HTTP 500 with JSON"),
        (500, b"a\x1b[31mb\x00\xff\xad", "HTTP 500 with other text"),
        (500, b"the key of alice is hunter2", "HTTP 500 with other text"),
        (403, b"Bad URL https://x.example.org/a?oh=00_Af&oe=1F", "HTTP 403 with other text"),
    ],
)
def test_a_refusal_says_what_the_cdn_said_in_known_words(
    status: int, body: bytes, said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_status(status, body)
    assert refused.value.status == status
    assert str(refused.value) == said


@given(st.integers(100, 599).filter(lambda status: status != 200), st.binary(max_size=600))
def test_no_body_breaks_the_refusal(status: int, body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_status(status, body)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("trouble", "gone"),
    [
        *((refusal, refusal.status in (404, 410)) for refusal in REFUSED),
        *((refusal, False) for refusal in UNWELL),
        (NO_ANSWER, False),
        *((bad, False) for bad in BAD_BODY),
    ],
    ids=repr,
)
def test_only_404_and_410_on_a_fresh_url_mean_gone(trouble: Exception, gone: bool) -> None:
    assert is_gone(trouble, fresh=True) is gone
    assert not is_gone(trouble, fresh=False)


@pytest.mark.parametrize("trouble", REFUSED, ids=repr)
@pytest.mark.parametrize("outage", [True, False])
def test_a_refused_old_url_costs_no_attempt_and_is_replaced_at_once(
    trouble: Refusal, outage: bool
) -> None:
    failed = attempt(trouble, attempts=5, outage=outage)
    assert (failed.counts, failed.drop_url, failed.retry_at) == (False, True, NOW)


@pytest.mark.parametrize("trouble", REFUSED, ids=repr)
def test_a_refused_fresh_url_counts(trouble: Refusal) -> None:
    failed = attempt(trouble, fresh=True)
    assert (failed.counts, failed.drop_url) == (True, True)
    assert NOW <= failed.retry_at <= NOW + 1
    assert attempt(trouble, fresh=True, attempts=5).retry_at == math.inf


@pytest.mark.parametrize("trouble", [*UNWELL, NO_ANSWER], ids=repr)
@pytest.mark.parametrize("fresh", [True, False])
def test_the_cdn_s_trouble_costs_attempts_only_outside_an_outage(
    trouble: Exception, fresh: bool
) -> None:
    alone = attempt(trouble, fresh=fresh)
    assert (alone.counts, alone.drop_url) == (True, False)
    of_many = attempt(trouble, fresh=fresh, attempts=5, outage=True)
    assert (of_many.counts, of_many.drop_url) == (False, False)
    assert of_many.retry_at < math.inf


@pytest.mark.parametrize("trouble", BAD_BODY, ids=repr)
@pytest.mark.parametrize("outage", [True, False])
def test_a_bad_body_wants_another_url_and_damage_counts_whatever_happens(
    trouble: Exception, outage: bool
) -> None:
    counts = isinstance(trouble, DamagedImage) or not outage
    failed = attempt(trouble, outage=outage)
    assert (failed.counts, failed.drop_url) == (counts, True)
    last = attempt(trouble, attempts=5, outage=outage)
    assert (last.retry_at == math.inf) is counts


def test_what_could_not_be_judged_is_tried_again_with_the_same_url() -> None:
    failed = attempt(NotJudged("not judged: MemoryError: "))
    assert (failed.counts, failed.drop_url) == (True, False)
    assert failed.retry_at < math.inf


def test_a_url_that_leads_elsewhere_costs_an_attempt_and_is_replaced() -> None:
    failed = attempt(BAD_URL)
    assert (failed.counts, failed.drop_url) == (True, True)
    assert failed.error == "UrlRefused: a private address"
    assert attempt(BAD_URL, attempts=5).retry_at == math.inf
    assert not is_gone(BAD_URL, fresh=True)


@given(st.integers(0, 4), st.integers())
def test_attempts_move_apart_until_the_last_one(attempts: int, seed: int) -> None:
    failed = attempt(NO_ANSWER, attempts=attempts, seed=seed)
    assert NOW <= failed.retry_at <= NOW + min(60, 2**attempts)
    assert attempt(NO_ANSWER, attempts=5, seed=seed).retry_at == math.inf


@pytest.mark.parametrize(("attempts", "replaced"), [(0, False), (1, False), (2, True), (4, True)])
def test_a_url_that_keeps_failing_is_replaced(attempts: int, replaced: bool) -> None:
    assert attempt(NO_ANSWER, attempts=attempts).drop_url is replaced
    assert not attempt(NO_ANSWER, attempts=attempts, outage=True).drop_url


def test_the_ledger_is_told_which_image_and_why() -> None:
    failed = attempt(Refusal(503, "HTTP 503 busy"))
    assert (failed.number, failed.error) == (7, "Refusal: HTTP 503 busy")


def test_one_image_waits_as_it_is_asked_to_and_never_holds_the_run() -> None:
    with pytest.raises(Refusal, match=r"HTTP 503.*asks to wait until 2") as refused:
        refuse_status(503, b"", 120.0)
    assert attempt(refused.value).retry_at >= NOW + 120
    assert attempt(Refusal(503, "x", 86_400.0)).retry_at == math.inf
