"""What an update would bring, by one listing, of which nothing stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl.plan.update import WouldBring, would_bring
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from tests.ledgers import fresh_ledger, list_rows, row, stored

ANN = Collection("ann")


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with fresh_ledger() as ledger:
        list_rows(ledger, [row(number) for number in range(1, 7)])
        ledger.save([*map(stored, (1, 2, 3)), stored(4, damaged=True)])
        ledger.settle([5], State.GONE)
        ledger.settle([6], State.UNAVAILABLE)
        ledger.listing.close()
        yield ledger


def pages(*answers: Answer) -> Callable[[str], Answer]:
    """Answer one question after another; a page's cursor is what the next one asks for."""
    waiting = list(answers)
    return lambda _: waiting.pop(0)


def page(ids: list[Any], after: str | None = None, **fields: Any) -> Answer:
    data: dict[str, Any] = {"data": [{"id": each, **fields} for each in ids]}
    if after:
        data["paging"] = {"next": "https://x/", "cursors": {"after": after}}
    return Answer(Meaning.DATA, data=data)


def found(ledger: Ledger, *answers: Answer, collection: Collection = ANN) -> WouldBring:
    return would_bring(ledger, collection, "https://api", pages(*answers), lambda _: None)


def test_only_what_is_not_known_is_new(ledger: Ledger) -> None:
    before = list(ledger.database.execute("SELECT * FROM images"))
    result = found(ledger, page(["1", "7", 8, None], "a"), page(["8", "5", "9"]))
    assert result == WouldBring(new=3, again=2)
    assert "would bring 3 new images, and ask once more for 2" in result.words
    assert found(ledger, page(["1", "5"])).words.startswith("an update would bring no new image")
    assert list(ledger.database.execute("SELECT * FROM images")) == before


def test_what_lies_outside_a_selection_is_not_new(ledger: Ledger) -> None:
    box = Collection("ann", selection=Selection(bbox=(0.0, 0.0, 1.0, 1.0)))
    inside = page(["7"], "a", geometry={"coordinates": [0.5, 0.5]})
    outside = page(["8"], geometry={"coordinates": [5, 5]})
    assert found(ledger, inside, outside, collection=box).new == 1


def test_a_listing_that_runs_in_a_circle_comes_to_an_end(ledger: Ledger) -> None:
    assert found(ledger, page(["7"], "a"), page(["8"], "b"), page(["9"], "a")).new == 3


def test_what_passes_is_asked_for_again(ledger: Ledger) -> None:
    away = Answer(Meaning.RETRY, "HTTP 500")
    assert found(ledger, away, Answer(Meaning.DATA, data={}), page(["7"])).new == 1
    with pytest.raises(EndOfRun, match="HTTP 500") as ended:
        found(ledger, *[away] * 4)
    assert ended.value.outcome is Outcome.SERVICE_AWAY
    with pytest.raises(EndOfRun) as ended:
        found(ledger, Answer(Meaning.TOKEN, "no"))
    assert ended.value.outcome is Outcome.TOKEN_REFUSED
