"""Bodies are inspected together, each with its own outcome, never in too many threads."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from mapillary_crawler.image.inspector import Inspector

PIXELS = 1000


class Judge:
    """Notes in which threads it works, and how many work at once."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, body: bytes, most_pixels: int) -> bytes:
        with self._lock:
            self.threads.append(threading.get_ident())
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.002)
        with self._lock:
            self._now -= 1
        if body.startswith(b"bad"):
            raise ValueError(body.decode())
        assert most_pixels == PIXELS
        return body[::-1]


def test_each_body_gets_its_own_outcome() -> None:
    async def all_of_them() -> list[object]:
        inspector = Inspector(Judge(), workers=2)
        bodies = [b"bad%d" % n if n % 7 == 0 else b"good%d" % n for n in range(200)]
        return await asyncio.gather(
            *(inspector(body, PIXELS) for body in bodies), return_exceptions=True
        )

    outcomes = asyncio.run(all_of_them())
    for number, outcome in enumerate(outcomes):
        if number % 7 == 0:
            assert isinstance(outcome, ValueError)
            assert str(outcome) == f"bad{number}"
        else:
            assert outcome == (b"good%d" % number)[::-1]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_never_more_at_once_than_workers(workers: int, size: int) -> None:
    judge = Judge()

    async def several_rounds() -> None:
        inspector = Inspector(judge, workers)
        for count in (1, 40, 2):
            await asyncio.gather(*(inspector(bytes(size), PIXELS) for _ in range(count)))

    asyncio.run(several_rounds())
    assert judge.most <= workers
    assert len(judge.threads) == 43
    assert threading.get_ident() not in judge.threads


def test_a_body_that_comes_as_the_last_visit_ends_does_not_wait() -> None:
    async def one_after_the_other() -> list[bytes]:
        inspector = Inspector(Judge(), workers=1)
        return [await inspector(b"%d" % n, PIXELS) for n in range(10, 13)]

    found = asyncio.run(asyncio.wait_for(one_after_the_other(), 10))
    assert found == [b"01", b"11", b"21"]


def test_where_no_thread_can_be_had_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def both() -> list[object]:
        inspector = Inspector(Judge(), workers=1)
        return await asyncio.gather(
            *(inspector(body, PIXELS) for body in (b"a", b"b")), return_exceptions=True
        )

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [str(outcome) for outcome in asyncio.run(asyncio.wait_for(both(), 10))] == [
        "can't start new thread"
    ] * 2


def test_who_does_not_wait_any_more_disturbs_nobody() -> None:
    async def some_leave() -> list[bytes]:
        inspector = Inspector(Judge(), workers=1)
        tasks = [asyncio.create_task(inspector(b"%d" % n, PIXELS)) for n in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        return await asyncio.gather(*(task for n, task in enumerate(tasks) if n % 3))

    assert asyncio.run(some_leave()) == [str(n).encode()[::-1] for n in range(30) if n % 3]
