"""Many images in a row that are said to be gone: none is final before others are seen to come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl import gone as module
from mapillary_crawler.crawl.gone import MOST, Gone
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Source, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import list_rows, open_ledger, row
from tests.runs import OnThisThread

IMAGES = 120


class Case:
    """A ledger of images, and what a source says of them."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = ledger
        self.now = 1000.0
        self.well: bool | None = True
        self.stopped = False
        self.looks = 0
        self.slices = SimpleNamespace(witnesses=[])
        list_rows(ledger, [row(number) for number in range(1, IMAGES + 1)])
        self.new_run()
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(module, "clock", SimpleNamespace(now=lambda: self.now))

    def new_run(self) -> None:
        self.ledger.start_run()

        async def comes(image_id: str) -> bool:
            await asyncio.sleep(0)
            if self.stopped:
                raise RunStopped
            return bool(self.well)

        def some_saved(most: int) -> list[str]:
            self.looks += 1
            return [] if self.well is None else ["known"]

        images = SimpleNamespace(some_saved=some_saved)
        ledger = SimpleNamespace(gone=self.ledger.gone, images=images, slices=self.slices)
        thread: Any = OnThisThread(ledger)
        self.sayings = Gone(thread, 6, dict.fromkeys(Source, comes))

    def gone(self) -> int:
        return self.ledger.images.balance().gone

    async def believe(self, number: int) -> bool:
        return await self.sayings.believe(Source.CDN, number)

    async def prove(self) -> None:
        await self.sayings.prove(Source.CDN)

    async def ends_proven(self) -> bool:
        return await self.sayings.ends_proven()

    def say(self, *numbers: int) -> list[bool]:
        """Say that images are gone, all at the same time."""

        async def all_at_once() -> list[bool]:
            return await asyncio.gather(*map(self.believe, numbers))

        return asyncio.run(all_at_once())


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Case(ledger, monkeypatch)


def run(awaitable: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


def test_a_few_are_believed_at_once(case: Case) -> None:
    assert all(case.say(*range(1, MOST + 1)))
    assert (case.gone(), case.looks) == (MOST, 0)


def test_many_are_believed_where_a_known_image_comes(case: Case) -> None:
    assert all(case.say(*range(1, IMAGES + 1)))
    assert case.gone() == IMAGES
    assert case.looks == 2, "one look for fifty"


@pytest.mark.parametrize("well", [False, None])
def test_none_of_many_is_believed_where_no_known_image_comes(case: Case, well: bool | None) -> None:
    case.well = well
    believed = case.say(*range(1, IMAGES + 1))
    assert believed == [True] * MOST + [False] * (IMAGES - MOST)
    assert (case.gone(), case.looks) == (0, 1), "those believed at first are wanted again"
    failures = {image_id: error for image_id, error, _ in case.ledger.images.failures()}
    assert "not believed" in str(failures["1"])
    assert case.ledger.queue.draw(case.now, IMAGES)[0].number == MOST + 1
    assert len(case.ledger.queue.draw(case.now + module.DISTRUST, IMAGES)) == MOST

    assert case.say(1) == [False], "nobody looks again so soon"
    case.now += module.DISTRUST
    case.well = True
    assert case.say(1) == [True]
    assert (case.gone(), case.looks) == (1, 2)


def test_an_image_that_comes_while_a_known_one_is_asked_for_is_proof(case: Case) -> None:
    case.well = False
    case.say(*range(1, MOST + 1))

    async def both() -> bool:
        believed, _ = await asyncio.gather(case.believe(MOST + 1), case.prove())
        return believed

    assert asyncio.run(both())
    assert case.gone() == MOST + 1


def test_a_stop_decides_nothing(case: Case) -> None:
    case.say(*range(1, MOST + 1))
    case.stopped = True
    with pytest.raises(RunStopped):
        case.say(MOST + 1)
    with pytest.raises(RunStopped):
        run(case.ends_proven())
    assert case.gone() == MOST
    case.new_run()
    assert case.gone() == 0, "the next run asks for them again"


def test_what_is_good_proves_what_was_gone_before(case: Case) -> None:
    case.well = False
    assert all(case.say(*range(1, MOST + 1)))
    run(case.prove())
    assert all(case.say(*range(MOST + 1, MOST + 11)))
    assert run(case.ends_proven()) is False
    assert case.gone() == MOST, "what was proven is final"


@pytest.mark.parametrize(("well", "gone"), [(True, 3), (None, 3), (False, 0)])
def test_a_few_at_the_end_of_a_run(case: Case, well: bool | None, gone: int) -> None:
    assert run(case.ends_proven())
    assert case.looks == 0, "where nothing is gone, nobody looks"
    case.well = well
    case.say(1, 2, 3)
    assert run(case.ends_proven()) is (well is not False)
    assert case.gone() == gone
    assert run(case.ends_proven())
    case.new_run()
    assert case.gone() == gone


def test_a_slice_without_an_image_asks_for_those_of_the_whole(case: Case) -> None:
    case.well = None
    case.slices.witnesses = ["of the whole"]
    assert case.say(1, 2, 3) == [True] * 3
    assert not asyncio.run(case.ends_proven())
    assert case.gone() == 0


def test_a_run_that_doubts_again_and_again_ends(case: Case) -> None:
    for _ in range(10):
        case.well = True
        case.now += module.DISTRUST
        if not case.say(1)[0]:
            continue
        case.well = False
        run(case.ends_proven())
        if case.ledger.queue.next_due() == math.inf:
            break
    rows = case.ledger.database.execute("SELECT retry_at FROM unsettled WHERE number = 1")
    assert rows.fetchone() == (math.inf,)


def test_what_a_killed_run_left_unproven_is_wanted_again(case: Case) -> None:
    case.say(1, 2)
    case.new_run()
    assert case.gone() == 0
    due = {image.number: image for image in case.ledger.queue.draw(case.now, IMAGES)}
    assert len(due) == IMAGES
    assert due[1].attempts == 0
    assert due[1].url is None, "by a fresh URL"


def test_sources_are_proven_each_by_itself(case: Case) -> None:
    case.say(1)
    case.ledger.gone.settle(2, Source.API)
    run(case.prove())
    case.new_run()
    states = {record.number: record.state for record in streams.in_order(LedgerHere(case.ledger))}
    assert (states[1], states[2]) == (State.GONE, State.UNSETTLED)
