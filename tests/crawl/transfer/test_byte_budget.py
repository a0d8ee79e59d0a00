"""The bytes on their way: bounded, in order of arrival, nobody forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.crawl.transfer.byte_budget import ByteBudget


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in a loop of its own; a test that hangs fails."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    run.__name__ = test.__name__
    return run


@in_loop
async def test_images_pass_as_long_as_they_fit() -> None:
    budget = ByteBudget(100, 30)
    taken = [asyncio.create_task(budget.take()) for _ in range(5)]
    await settle()
    assert [task.done() for task in taken] == [True, True, True, False, False]
    assert budget.taken == 90
    budget.give_back(30)
    await settle()
    assert [task.done() for task in taken] == [True, True, True, True, False]
    budget.give_back(30)
    await settle()
    assert all(task.done() for task in taken)


@in_loop
async def test_one_larger_image_passes_alone() -> None:
    budget = ByteBudget(100, 500)
    first = await budget.take()
    second = asyncio.create_task(budget.take())
    await settle()
    assert not second.done()
    budget.give_back(first)
    assert await second == 500
    assert budget.taken == 500


@in_loop
async def test_the_true_size_takes_the_place_of_the_expected_one() -> None:
    budget = ByteBudget(100, 60)
    taken = await budget.take()
    other = asyncio.create_task(budget.take())
    await settle()
    assert not other.done()
    taken = budget.correct(taken, 10)
    assert (taken, budget.taken) == (10, 10 + 60)
    await other
    budget.give_back(taken)
    assert budget.taken == 60


@in_loop
async def test_a_larger_image_than_expected_holds_the_others_back() -> None:
    budget = ByteBudget(100, 10)
    taken = budget.correct(await budget.take(), 95)
    other = asyncio.create_task(budget.take())
    await settle()
    assert not other.done()
    budget.give_back(taken)
    assert await other == 95  # the size images had lately


@in_loop
async def test_expectations_fade_once_images_are_small_again() -> None:
    budget = ByteBudget(10**9, 100)
    budget.give_back(budget.correct(await budget.take(), 1_000_000))
    sizes = []
    for _ in range(600):
        taken = await budget.take()
        sizes.append(taken)
        budget.give_back(budget.correct(taken, 100))
    assert sizes[0] == 1_000_000
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 100
    assert budget.taken == 0


@in_loop
async def test_nobody_is_overtaken() -> None:
    budget, order = ByteBudget(100, 60), []

    async def image(name: int) -> None:
        taken = await budget.take()
        order.append(name)
        await settle()
        budget.give_back(taken)

    await asyncio.gather(*map(image, range(20)))
    assert order == list(range(20))
    assert budget.taken == 0


@in_loop
async def test_nor_by_one_that_would_fit() -> None:
    budget = ByteBudget(100, 60)
    taken = await budget.take()
    large = asyncio.create_task(budget.take())
    await settle()
    taken = budget.correct(taken, 41)  # 60 more do not fit, the 58 now expected would
    small = asyncio.create_task(budget.take())
    await settle()
    assert not large.done()
    assert not small.done()
    budget.give_back(taken)
    assert await large == 60
    small.cancel()


@in_loop
async def test_a_cancelled_waiter_takes_nothing_and_blocks_nobody() -> None:
    budget = ByteBudget(100, 80)
    taken = await budget.take()
    waiting = [asyncio.create_task(budget.take()) for _ in range(3)]
    await settle()
    waiting[0].cancel()
    waiting[1].cancel()
    await settle()
    budget.give_back(taken)
    assert await waiting[2] == 80
    assert budget.taken == 80


@in_loop
async def test_a_waiter_cancelled_between_its_turn_and_its_start_gives_back() -> None:
    budget = ByteBudget(100, 80)
    taken = await budget.take()
    first, second = (asyncio.create_task(budget.take()) for _ in range(2))
    await settle()
    budget.give_back(taken)  # it is the first one's turn, which has not run yet
    first.cancel()
    assert await second == 80
    with pytest.raises(asyncio.CancelledError):
        await first
    assert budget.taken == 80


class Traffic:
    """Images that wait for their turn and images that hold bytes."""

    def __init__(self) -> None:
        self.budget = ByteBudget(100, 20)
        self.waiting: list[asyncio.Task[int]] = []
        self.held: list[int] = []

    async def do(self, step: str, number: int) -> None:
        if step == "take":
            self.waiting.append(asyncio.create_task(self.budget.take()))
        elif step == "cancel" and self.waiting:
            self.waiting[number % len(self.waiting)].cancel()
        elif step == "correct" and self.held:
            taken = self.held.pop(number % len(self.held))
            self.held.append(self.budget.correct(taken, number))
        elif step == "give" and self.held:
            self.budget.give_back(self.held.pop(number % len(self.held)))
        if number % 3:  # else the next step comes before anybody could run
            await self.collect()

    async def collect(self) -> None:
        """Note who got a turn; the account must be what they hold."""
        await settle()
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            if not task.cancelled():
                self.held.append(task.result())
        assert self.budget.taken == sum(self.held)
        assert self.held or not self.waiting, "everybody waits and nobody holds anything"


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "correct", "give", "cancel"]), st.integers(0, 200)),
        max_size=60,
    )
)
def test_whatever_happens_the_account_is_true_and_nobody_waits_in_vain(
    steps: list[tuple[str, int]],
) -> None:
    async def check() -> None:
        traffic = Traffic()
        for step, number in steps:
            await traffic.do(step, number)
        await traffic.collect()
        while traffic.held:
            await traffic.do("give", 1)
        assert not traffic.waiting

    asyncio.run(asyncio.wait_for(check(), 30))


def test_what_others_wait_for_does_not_wait_itself() -> None:
    async def check() -> None:
        budget = ByteBudget(100, 60)
        await budget.take()
        waiting = asyncio.ensure_future(budget.take())
        await asyncio.sleep(0)
        probe = budget.take_at_once()
        assert budget.taken == 120
        budget.give_back(60)
        await asyncio.sleep(0)
        assert not waiting.done(), "its bytes count"
        budget.give_back(probe)
        assert await waiting == 60

    asyncio.run(check())


def test_a_size_that_is_known_is_taken_instead_of_the_expected_one() -> None:
    async def check() -> None:
        budget = ByteBudget(100, 60)
        assert await budget.take(30) == 30
        assert await budget.take(70) == 70
        assert not budget.taken > 100

    asyncio.run(check())
