"""The listing of a user who deletes everything while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl import lister as lister_module
from mapillary_crawler.crawl.lister import Lister
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.graph.patience import Patience
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Committed
from tests.ledgers import open_ledger, row
from tests.runs import plain_run

EMPTY = Answer(Meaning.DATA, data={"data": []})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Return a ledger with the first of several pages."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.listing.commit(None, "behind", [row(1), row(2)])
        yield ledger


def lister(
    ledger: Ledger,
    *,
    accept_failed: bool = False,
    run: int = 1,
    selection: Selection | None = None,
    for_slices: bool = False,
    asleep: Callable[[], None] = lambda: None,
    slice_images: int = 20_000,
) -> Lister:
    """Return a listing that waits for nothing, of a service that has no images any more.

    `asleep` is called where it would wait.
    """

    async def ask(url: str) -> Answer:
        return EMPTY

    async def sleep(seconds: float) -> None:
        asleep()

    opened = {
        "arguments": SimpleNamespace(accept_failed=accept_failed),
        "configuration": SimpleNamespace(
            api_url="https://api.example.org", slice_images=slice_images
        ),
        "run_number": run,
    }
    listing = Lister(
        plain_run(
            ledger,
            collection=Collection("someone", "256", selection=selection or Selection()),
            opened=opened,
            client=SimpleNamespace(patience=Patience(7200), ask=ask),
            sleep=sleep,
        )
    )
    listing.for_slices = for_slices
    return listing


async def read_on(listing: Lister, ledger: Ledger) -> None:
    while listing.open:
        await listing.take(EMPTY, ledger.listing.position().cursor, 2000, None)


def test_it_ends_with_what_to_do(ledger: Ledger) -> None:
    with pytest.raises(EndOfRun, match=r"listed 2 before.*-a accept_failed=1") as end:
        asyncio.run(read_on(lister(ledger), ledger))
    assert end.value.outcome is Outcome.SERVICE_AWAY


@pytest.mark.parametrize("first", [1, 3])
def test_one_run_is_not_believed_nor_one_long_ago(ledger: Ledger, first: int) -> None:
    """An outage can be as silent."""
    for run in (first, first + 2):
        with pytest.raises(EndOfRun):
            asyncio.run(read_on(lister(ledger, accept_failed=True, run=run), ledger))


def test_it_is_complete_where_the_user_accepts_that(ledger: Ledger) -> None:
    with pytest.raises(EndOfRun):
        asyncio.run(read_on(lister(ledger), ledger))
    asyncio.run(read_on(lister(ledger, accept_failed=True, run=2), ledger))
    assert ledger.listing.position().closed
    assert ledger.images.balance().listed == 2


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(bbox=(0.0, 0.0, 1.0, 1.0)), "has 2 images, none in this selection"),
        (Selection(start=date(2024, 1, 1)), "has images, none in this selection"),
    ],
)
def test_the_number_is_said_only_where_all_images_were_listed(
    tmp_path: Path, selection: Selection, said: str
) -> None:
    """With dates, the service lists a few days and not the user."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.listing.commit(None, None, [row(1, outside=True), row(2, outside=True)])
        with pytest.raises(EndOfRun, match=said):
            asyncio.run(lister(ledger, selection=selection).end())


def answer(after: str | None, *ids: str) -> Answer:
    """Return a page of images with another one behind it, or the last."""
    following = {"cursors": {"after": after}, "next": f"https://graph/images?after={after}"}
    data = {"data": [{"id": each} for each in ids], "paging": following if after else {}}
    return Answer(Meaning.DATA, data=data)


@pytest.mark.parametrize("ids", [("1", "2"), ()], ids=["the same page", "empty pages"])
def test_pages_without_end_that_bring_nothing_new_end_the_run(
    ledger: Ledger, ids: tuple[str, ...]
) -> None:
    listing = lister(ledger)

    async def take_pages() -> None:
        for number in range(100):
            cursor = ledger.listing.position().cursor
            await listing.take(answer(f"c{number}", *ids), cursor, 2000, None)

    with pytest.raises(EndOfRun, match="50 pages in a row") as end:
        asyncio.run(take_pages())
    assert end.value.outcome is Outcome.SERVICE_AWAY


def test_a_round_over_known_images_is_no_fault(ledger: Ledger) -> None:
    listing = lister(ledger)

    async def take_pages() -> None:
        for again in range(2):
            for number in range(100):
                cursor = ledger.listing.position().cursor
                page = answer(f"{again} {number}", str(10 + number))
                await listing.take(page, cursor, 2000, None)
            ledger.listing.start_round(again=True)

    asyncio.run(take_pages())
    assert ledger.images.balance().listed == 102


def test_the_round_that_brought_an_image_is_known(ledger: Ledger) -> None:
    assert ledger.listing.commit("behind", "c", [row(1)]).idle
    assert not ledger.listing.commit("c", "d", [row(2), row(3)]).idle
    ledger.listing.start_round(again=True)
    assert not ledger.listing.commit(None, "e", [row(1), row(2)]).idle
    assert ledger.listing.commit("e", "f", [row(1)]).idle


def test_sequences_that_a_page_has_are_kept_with_it_inside_the_selection_or_not(
    tmp_path: Path,
) -> None:
    """What is asked for and wholly outside the box is there all the same."""
    selection = Selection(bbox=(0.0, 0.0, 1.0, 1.0), sequences=("a", "b", "c"))
    rows = [
        {"id": "1", "sequence": "a", "geometry": {"type": "Point", "coordinates": [0.5, 0.5]}},
        {"id": "2", "sequence": "b"},
        {"id": "3", "sequence": "other"},
        {"sequence": "c"},
    ]
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.listing.commit(None, "behind", [], sequences={"x"})
        listing = lister(ledger, selection=selection)
        page = Answer(Meaning.DATA, data={"data": rows})
        with suppress(EndOfRun):
            asyncio.run(listing.take(page, "behind", 2000, None))
        assert ledger.listing.sequences() == {"a", "b", "c", "x"}
        assert (ledger.images.balance().listed, ledger.images.balance().outside) == (1, 2)


@pytest.mark.parametrize("first", [True, False], ids=["for slices", "for itself"])
def test_images_wait_for_a_listing_that_goes_first_unless_the_api_is_slow(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Slices wait for the listing, so it has the processor; what it leaves is for images."""
    now = 1000.0
    monkeypatch.setattr(lister_module, "monotonic", lambda: now)
    listing = lister(ledger, for_slices=first)
    commit, held = ledger.listing.commit, []

    def slow_commit(*arguments: Any, **named: Any) -> Committed:
        nonlocal now
        now += 60
        held.append(listing.holds_images)
        return commit(*arguments, **named)

    monkeypatch.setattr(ledger.listing, "commit", slow_commit)
    assert listing.holds_images is first
    now += 1
    assert not listing.holds_images, "the API is slow"
    asyncio.run(listing.take(answer("more", "3"), "behind", 2000, None))
    assert held == [first], "while a page is taken in"
    assert listing.holds_images is first
    asyncio.run(listing.take(answer(None, "4"), "more", 2000, None))
    assert not listing.open
    assert not listing.holds_images, "all is listed"


@pytest.mark.parametrize("size", [1, 2], ids=["to be cut", "too small"])
def test_images_wait_for_the_end_of_the_listing_that_is_doubted_but_not_for_an_outage(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    now = 1000.0
    monkeypatch.setattr(lister_module, "monotonic", lambda: now)
    held = []

    def asleep() -> None:
        nonlocal now
        now += 1
        held.append(listing.holds_images)

    listing = lister(ledger, for_slices=True, asleep=asleep, slice_images=size)
    with pytest.raises(EndOfRun):
        asyncio.run(read_on(listing, ledger))
    assert held == [size == 1] * 3 + [False] * 5
