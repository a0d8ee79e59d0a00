"""How long the API is waited for, and how much it is asked for: simulated hours, no waiting."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.graph.answers import Meaning
from mapillary_crawler.graph.patience import IMAGES, OutOfPatience, Patience

LONGEST = 7200.0
WAITS = (Meaning.RETRY, Meaning.ASK_FOR_LESS, Meaning.PAUSE)


def patience(*, answered: bool = True, longest: float = LONGEST, seed: int = 1) -> Patience:
    made = Patience(longest, Random(seed))
    if answered:
        made.succeeded()
    return made


def seconds_until_the_end(of: Patience, meaning: Meaning = Meaning.RETRY) -> float:
    """Fail for as long as patience lasts; return the seconds from the first failure."""
    now = start = 1000.0
    while True:
        try:
            now += of.failed(meaning, "HTTP 503", now=now)
        except OutOfPatience:
            return now - start


@pytest.mark.parametrize("meaning", WAITS)
def test_an_outage_is_waited_for_as_long_as_patience_lasts(meaning: Meaning) -> None:
    waited = seconds_until_the_end(patience(), meaning)
    assert LONGEST <= waited <= LONGEST + 300


@pytest.mark.parametrize("meaning", WAITS)
def test_without_a_first_answer_it_is_five_minutes(meaning: Meaning) -> None:
    waited = seconds_until_the_end(patience(answered=False), meaning)
    # Who asks for a pause has answered: a rate limit says nothing against the token.
    first = LONGEST if meaning is Meaning.PAUSE else 300
    assert first <= waited <= first + 300


def test_a_rate_limit_is_never_blamed_on_the_token() -> None:
    limited = patience(answered=False)
    limited.failed(Meaning.PAUSE, "HTTP 429", now=0)
    with pytest.raises(OutOfPatience) as end:
        limited.failed(Meaning.PAUSE, "HTTP 429", now=LONGEST)
    assert "token" not in str(end.value)


@pytest.mark.parametrize("answered", [True, False])
def test_a_wish_beyond_the_patience_that_is_left_ends_at_once(answered: bool) -> None:
    asked = patience(answered=answered)
    assert asked.failed(Meaning.PAUSE, "x", now=0, asked_to_wait=LONGEST) >= LONGEST
    with pytest.raises(OutOfPatience, match="asks to wait for 1:40"):
        asked.failed(Meaning.PAUSE, "x", now=LONGEST - 99, asked_to_wait=100)
    with pytest.raises(OutOfPatience, match="asks to wait for 1 d 00:00"):
        patience(answered=answered).failed(Meaning.RETRY, "x", now=0, asked_to_wait=86_400)


def test_a_shorter_patience_counts_before_the_first_answer_too() -> None:
    assert seconds_until_the_end(patience(answered=False, longest=10)) <= 10 + 60
    with pytest.raises(OutOfPatience):
        patience(answered=False, longest=0).failed(Meaning.RETRY, "x", now=0)


def test_the_end_says_how_long_why_and_what_may_be_wrong() -> None:
    for answered in (False, True):
        tired = patience(answered=answered)
        tired.failed(Meaning.RETRY, "x", now=0)
        with pytest.raises(OutOfPatience) as end:
            tired.failed(Meaning.RETRY, "HTTP 503", now=8000)
        assert "8000 s: HTTP 503" in str(end.value)
        assert ("token may be wrong" in str(end.value)) is not answered


def test_a_success_starts_the_clock_anew() -> None:
    calm = patience()
    for hour in range(100):
        calm.failed(Meaning.RETRY, "x", now=hour * 3600)
        calm.succeeded()
    calm.failed(Meaning.RETRY, "x", now=1e6)
    calm.failed(Meaning.RETRY, "x", now=1e6 + LONGEST - 1)
    with pytest.raises(OutOfPatience):
        calm.failed(Meaning.RETRY, "x", now=1e6 + LONGEST)


def test_thirty_minutes_of_outage_are_survived() -> None:
    calm, now = patience(), 0.0
    while now < 1800:
        now += calm.failed(Meaning.RETRY, "HTTP 500, code 2", now=now)
    assert now <= 1800 + 60


@given(st.integers(), st.sampled_from(WAITS), st.integers(0, 200))
def test_waits_grow_and_stay_below_their_cap(seed: int, meaning: Meaning, failures: int) -> None:
    calm = patience(seed=seed)
    base, cap = (5.0, 300.0) if meaning is Meaning.PAUSE else (1.0, 60.0)
    for failure in range(failures):
        wait = calm.failed(meaning, "x", now=0)
        assert 0 <= wait <= min(cap, base * 2**failure)


def test_waits_are_spread() -> None:
    calm = patience()
    waits = [calm.failed(Meaning.RETRY, "x", now=0) for _ in range(500)][20:]
    assert min(waits) < 10
    assert max(waits) > 50
    assert 25 < sum(waits) / len(waits) < 35


def test_the_server_s_wish_is_a_lower_bound() -> None:
    assert patience().failed(Meaning.PAUSE, "x", now=0, asked_to_wait=120) == 120
    assert 0 <= patience().failed(Meaning.RETRY, "x", now=0, asked_to_wait=0) <= 1
    calm = patience()
    waits = [calm.failed(Meaning.PAUSE, "x", now=0, asked_to_wait=30) for _ in range(200)]
    assert min(waits) == 30
    assert max(waits) > 200


def test_a_rate_limit_gets_rest_for_certain() -> None:
    calm = patience()
    waits = [calm.failed(Meaning.PAUSE, "x", now=0) for _ in range(20)]
    assert all(wait >= min(300, 5 * 2**number) / 2 for number, wait in enumerate(waits))


def test_images_that_are_too_much_leave_the_page_as_it_is() -> None:
    calm = patience()
    calm.failed(Meaning.ASK_FOR_LESS, "x", now=0, subject=IMAGES)
    assert calm.page_rows == 2000


def test_pages_halve_down_to_25() -> None:
    calm = patience()
    sizes = []
    for _ in range(9):
        calm.failed(Meaning.ASK_FOR_LESS, "reduce the amount of data", now=0)
        sizes.append(calm.page_rows)
    assert sizes == [1000, 500, 250, 125, 62, 31, 25, 25, 25]


@pytest.mark.parametrize("meaning", [Meaning.RETRY, Meaning.PAUSE])
def test_other_troubles_leave_the_page_as_it_is(meaning: Meaning) -> None:
    calm = patience()
    calm.failed(meaning, "x", now=0)
    assert calm.page_rows == 2000


def test_pages_recover_slowly_and_never_beyond_the_api_s_limit() -> None:
    calm = patience()
    for _ in range(10):
        calm.failed(Meaning.ASK_FOR_LESS, "x", now=0)
    sizes = []
    for _ in range(100):
        calm.page_succeeded()
        sizes.append(calm.page_rows)
    assert sizes == sorted(sizes)
    assert sizes[0] == 25
    assert sizes[-1] == 2000
    steps = [index for index, size in enumerate(sizes[1:], 1) if size > sizes[index - 1]]
    assert all(later - earlier >= 5 for earlier, later in pairwise(steps))


def test_asking_for_less_again_starts_the_recovery_anew() -> None:
    calm = patience()
    for _ in range(50):
        calm.failed(Meaning.ASK_FOR_LESS, "x", now=0)
        calm.page_succeeded()
    assert calm.page_rows == 25


def test_answers_that_are_no_pages_do_not_make_pages_grow() -> None:
    calm = patience()
    calm.failed(Meaning.ASK_FOR_LESS, "x", now=0)
    for _ in range(100):
        calm.succeeded()
    assert calm.page_rows == 1000
