"""The queue: what is due, who is on the way, and what an attempt came to."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DueImage, FailedAttempt, State, Waiting
from tests.ledgers import fresh_ledger, list_rows, open_ledger, row, stored

NOW = 1_700_000_000.0


@pytest.fixture
def five(ledger: Ledger) -> Ledger:
    """Return a ledger with the images 1 to 5."""
    list_rows(ledger, [row(number) for number in range(1, 6)])
    return ledger


def drawn(ledger: Ledger, limit: int = 100, now: float = NOW) -> list[int]:
    return [image.number for image in ledger.queue.draw(now, limit)]


def fail(ledger: Ledger, number: int, *, retry_at: float = NOW, **options: bool) -> None:
    ledger.queue.fail([FailedAttempt(number, f"trouble {number}", retry_at, **options)])


# Drawing


def test_a_due_image_has_what_an_item_needs(ledger: Ledger) -> None:
    list_rows(ledger, [row("x7", 1705276800123, sequence="abc")])
    assert ledger.queue.draw(NOW, 1) == [
        DueImage(
            number=1,
            image_id="x7",
            url="https://cdn.example.org/x7?oe=68B04FC4",
            expires=0x68B04FC4,
            fresh=False,
            had_url=True,
            without_url=0,
            attempts=0,
            captured_at=1705276800123,
            day="2024-01-15",
            sequence="abc",
            metadata={"id": "x7", "make": "GoPro"},
        )
    ]


def test_images_come_in_the_order_of_listing_as_many_as_are_asked_for(five: Ledger) -> None:
    assert drawn(five, 2) == [1, 2]
    assert drawn(five, 2) == [3, 4]
    assert drawn(five, 2) == [5]
    assert drawn(five, 2) == []
    assert five.queue.drawn == 5
    assert five.queue.waiting() == 5


def test_what_is_put_back_can_be_drawn_again(five: Ledger) -> None:
    drawn(five)
    five.queue.put_back([2, 4, 99])
    assert five.queue.drawn == 3
    assert drawn(five) == [2, 4]


def test_settled_images_are_drawn_no_more(five: Ledger) -> None:
    drawn(five, 4)
    five.save([stored(1), stored(2)])
    five.settle([3], State.GONE)
    assert (five.queue.drawn, five.queue.waiting()) == (1, 2)
    five.queue.put_back([4])
    assert drawn(five) == [4, 5]


def test_outside_images_are_never_drawn(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, outside=True), row(2)])
    assert [image.image_id for image in ledger.queue.draw(NOW, 9)] == ["2"]


def test_a_crash_forgets_what_was_drawn(five: Ledger, path: Path) -> None:
    drawn(five)
    with open_ledger(path) as second:
        assert drawn(second) == [1, 2, 3, 4, 5]


def test_an_unknown_image_may_lack_everything(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, None, sequence="", url=None, expires=None)])
    (image,) = ledger.queue.draw(NOW, 1)
    assert (image.url, image.expires, image.captured_at) == (None, None, None)
    assert (image.day, image.sequence) == ("unknown-date", "")


# Failing


def test_a_failed_image_is_due_when_its_time_comes(five: Ledger) -> None:
    drawn(five)
    fail(five, 3, retry_at=NOW + 10)
    assert five.queue.drawn == 4
    assert drawn(five, now=NOW + 9.9) == []
    (image,) = five.queue.draw(NOW + 10, 9)
    assert (image.number, image.attempts) == (3, 1)
    assert list(five.images.failures())[2] == ("3", "trouble 3", 1)


def test_a_sleeping_retry_holds_back_nobody(five: Ledger) -> None:
    drawn(five, 2)
    fail(five, 1, retry_at=NOW + 1000)
    fail(five, 2, retry_at=NOW - 1)
    assert drawn(five) == [3, 4, 5, 2]  # the ones that waited longest come first


def test_what_costs_no_attempt(five: Ledger) -> None:
    fail(five, 1, counts=False)
    fail(five, 1)
    fail(five, 1, counts=False)
    assert next(image for image in five.queue.draw(NOW, 9) if image.number == 1).attempts == 1


def test_a_dropped_url(five: Ledger) -> None:
    fail(five, 1, drop_url=True)
    fail(five, 2)
    by_number = {image.number: image for image in five.queue.draw(NOW, 9)}
    assert by_number[1].url is None
    assert by_number[2].url is not None


def test_what_is_given_up_is_not_due_in_this_run_but_in_the_next(five: Ledger) -> None:
    fail(five, 1, retry_at=math.inf)
    assert drawn(five, now=1e18) == [2, 3, 4, 5]
    five.queue.put_back([2, 3, 4, 5])
    five.start_run()
    images = {image.number: image for image in five.queue.draw(NOW, 9)}
    assert (images[1].attempts, images[1].fresh) == (0, False)
    assert next(five.images.failures()) == ("1", "trouble 1", 0)  # the reason stays known


def test_failing_what_is_settled_does_no_harm(five: Ledger) -> None:
    five.save([stored(1)])
    fail(five, 1, retry_at=math.inf)
    assert five.images.balance().saved == 1
    assert five.queue.waiting() == 4


# When to look again


def test_when_the_next_image_is_due(five: Ledger) -> None:
    assert five.queue.next_due() == 0
    drawn(five)
    assert five.queue.next_due() is None
    fail(five, 2, retry_at=NOW + 5)
    fail(five, 3, retry_at=NOW + 3)
    assert five.queue.next_due() == NOW + 3
    drawn(five, now=NOW + 4)
    assert five.queue.next_due() == NOW + 5
    fail(five, 2, retry_at=math.inf)
    assert five.queue.next_due() == math.inf


def test_at_rest_is_what_has_nothing_on_its_way_and_nothing_due(five: Ledger) -> None:
    assert not five.queue.at_rest()
    assert drawn(five) == [1, 2, 3, 4, 5]
    assert not five.queue.at_rest()
    five.save([stored(number) for number in range(1, 5)])
    fail(five, 5, retry_at=NOW + 3600)
    assert not five.queue.at_rest()
    fail(five, 5, retry_at=math.inf)
    assert five.queue.at_rest()


def test_who_is_given_up_waits_no_more(five: Ledger) -> None:
    assert five.queue.waiting() == 5
    drawn(five)
    fail(five, 1, retry_at=NOW + 3600)
    fail(five, 2, retry_at=math.inf)
    assert five.queue.waiting() == 4


def test_nothing_is_due_in_an_empty_ledger(ledger: Ledger) -> None:
    assert (ledger.queue.next_due(), ledger.queue.waiting(), drawn(ledger)) == (None, 0, [])


# URLs


def test_a_renewed_url_is_fresh_and_due_at_once(five: Ledger) -> None:
    drawn(five)
    fail(five, 1, retry_at=NOW + 1000, drop_url=True)
    five.queue.renew({1: ("https://x/1", None), 2: ("https://x/2", 7)})
    one, two = five.queue.draw(NOW, 9)
    assert (one.number, one.url, one.expires, one.fresh, one.attempts) == (
        1, "https://x/1", None, True, 1,
    )  # fmt: skip
    assert (two.number, two.url, two.expires, two.fresh) == (2, "https://x/2", 7, True)


def test_what_failed_in_an_earlier_run_comes_last(five: Ledger) -> None:
    """They may be many, and fail again: who is behind them would never have a turn."""
    fail(five, 1, retry_at=math.inf)
    fail(five, 2, retry_at=NOW)
    five.start_run()
    assert drawn(five) == [3, 4, 5, 1, 2]
    assert five.survey.progress()[1] == Waiting(to_retry=0, given_up=0)


def test_renewing_what_is_settled_does_no_harm(five: Ledger) -> None:
    five.settle([1], State.GONE)
    five.queue.renew({1: ("https://x/1", None)})
    assert drawn(five) == [2, 3, 4, 5]


def test_expired_urls_are_counted(ledger: Ledger) -> None:
    list_rows(
        ledger,
        [
            row(1, expires=100), row(2, expires=101), row(3, expires=None),
            row(4, url=None, expires=None), row(5, expires=1000),
        ],
    )  # fmt: skip
    assert [ledger.queue.expired(at) for at in (99, 100, 101)] == [0, 1, 2]
    fail(ledger, 5, retry_at=NOW, drop_url=True)
    assert [ledger.queue.expired(at) for at in (99, 100, 101)] == [1, 2, 3]
    ledger.queue.renew({1: ("https://x/1", 50)})  # fresh: used whatever its oe says
    assert ledger.queue.expired(101) == 2
    ledger.start_run()
    assert ledger.queue.expired(101) == 3
    ledger.settle([1, 2, 3, 4, 5], State.GONE)
    assert ledger.queue.expired(1e18) == 0


def state_of_url(ledger: Ledger, number: int) -> tuple[bool, int]:
    (image,) = ledger.queue.draw_these([number])
    ledger.queue.put_back([number])
    return image.had_url, image.without_url


def test_it_is_known_who_had_a_url_and_how_often_none_was_given(ledger: Ledger) -> None:
    list_rows(ledger, [row(1, expires=None), row(2, url=None, expires=None)])
    assert [state_of_url(ledger, number) for number in (1, 2)] == [(True, 0), (False, 0)]
    for _ in range(2):
        ledger.queue.fail([FailedAttempt(2, "none", NOW, without_url=True)])
        fail(ledger, 1, retry_at=NOW, drop_url=True)
    ledger.start_run()
    assert [state_of_url(ledger, number) for number in (1, 2)] == [(True, 0), (False, 2)]
    ledger.queue.renew({2: ("https://x/2", None)})
    assert state_of_url(ledger, 2) == (True, 0)


@pytest.mark.parametrize("settled", ["saved", "gone", "accepted"])
def test_what_is_wanted_again_had_a_url(ledger: Ledger, settled: str) -> None:
    list_rows(ledger, [row(1)])
    if settled == "saved":
        ledger.save([stored(1)])
    else:
        ledger.settle([1], State[settled.upper()])
    ledger.images.unsettle([1], "lost")
    assert state_of_url(ledger, 1) == (True, 0)
    assert ledger.queue.expired(0) == 1, "listing again brings another"


# Damage at the source: three requests, two fresh URLs, two runs, the same bytes

ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.mark.parametrize(
    ("bodies", "believed"),
    [
        # (sha256, fresh, run)
        ([(ONE, True, 1), (ONE, True, 1), (ONE, True, 2)], [False, False, True]),
        ([(ONE, False, 1), (ONE, True, 1), (ONE, True, 2)], [False, False, True]),
        ([(ONE, True, 1), (ONE, True, 2)], [False, False]),
        ([(ONE, True, 1)] * 9, [False] * 9),
        ([(ONE, False, 1), (ONE, False, 1), (ONE, True, 2), (ONE, True, 2)],
         [False, False, False, True]),
        ([(ONE, True, 1), (ONE, True, 1), (OTHER, True, 2), (OTHER, True, 2), (OTHER, True, 3)],
         [False, False, False, False, True]),
        ([(ONE, True, 1), (OTHER, True, 1), (ONE, True, 2), (OTHER, True, 2)] * 3, [False] * 12),
        ([(ONE, True, 1), (ONE, True, 1), (ONE, True, 9)], [False, False, True]),
    ],
    ids=["three", "two fresh", "too few", "one run", "one fresh is not two", "other bytes",
         "alternating", "runs far apart"],
)  # fmt: skip
def test_damage_is_believed_only_then(
    bodies: list[tuple[bytes, bool, int]], believed: list[bool], five: Ledger
) -> None:
    found = [five.queue.damaged(1, sha256, fresh=fresh, run=run) for sha256, fresh, run in bodies]
    assert found == believed


def test_images_are_damaged_each_by_itself(five: Ledger) -> None:
    for run in (1, 1, 2):
        five.queue.damaged(1, ONE, fresh=True, run=run)
    assert not five.queue.damaged(2, ONE, fresh=True, run=2)


def test_a_whole_body_makes_the_damage_forgotten(five: Ledger) -> None:
    for run in (1, 2):
        five.queue.damaged(1, ONE, fresh=True, run=run)
    five.save([stored(1)])
    five.images.unsettle([1], "checksum")
    assert not five.queue.damaged(1, ONE, fresh=True, run=3)


# Any order of steps

steps = st.lists(
    st.tuples(
        st.sampled_from(["draw", "fail", "give up", "save", "gone", "put back", "renew", "run"]),
        st.integers(1, 8),
    ),
    max_size=40,
)


class Model:
    """What the queue should know of 8 images."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.retry_at = dict.fromkeys(range(1, 9), 0.0)
        self.failed: set[int] = set()
        self.drawn: set[int] = set()
        self.now = NOW

    def due(self) -> list[int]:
        waiting = [number for number in self.retry_at if number not in self.drawn]
        due = [number for number in waiting if self.retry_at[number] <= self.now]
        return sorted(due, key=lambda number: (self.retry_at[number], number))

    def do(self, step: str, number: int) -> None:
        self.now += 1
        if step == "draw":
            found = drawn(self.ledger, number, self.now)
            assert found == self.due()[:number]
            self.drawn.update(found)
            return
        if step == "run":
            self.ledger.queue.put_back(self.drawn)
            self.ledger.start_run()
            self.retry_at = {image: float(image in self.failed) for image in self.retry_at}
            self.drawn = set()
            return
        self.drawn.discard(number)
        if step in {"fail", "give up"}:
            due = self.now + number if step == "fail" else math.inf
            fail(self.ledger, number, retry_at=due)
            self.failed.add(number)
        elif step == "renew":
            due = 0.0
            self.ledger.queue.renew({number: ("https://x", None)})
        if step in {"fail", "give up", "renew"} and number in self.retry_at:
            self.retry_at[number] = due
        elif step == "put back":
            self.ledger.queue.put_back([number])
        elif step == "save" and number in self.retry_at:
            self.ledger.save([stored(number)])
            del self.retry_at[number]
        elif step == "gone" and number in self.retry_at:
            self.ledger.settle([number], State.GONE)
            del self.retry_at[number]


@settings(max_examples=60)
@given(steps)
def test_whatever_happens_nothing_is_drawn_twice_or_forgotten(taken: list[tuple[str, int]]) -> None:
    with fresh_ledger() as ledger:
        list_rows(ledger, [row(number) for number in range(1, 9)])
        model = Model(ledger)
        for step, number in taken:
            model.do(step, number)
            assert ledger.queue.drawn == len(model.drawn)
            given_up = list(model.retry_at.values()).count(math.inf)
            assert ledger.queue.waiting() == len(model.retry_at) - given_up
        assert ledger.images.balance().listed == 8
        model.do("run", 1)
        model.do("draw", 8)
        assert model.drawn == set(model.retry_at)
