"""A hundred thousand images: no step costs more at the end than at the start.

Time is not asserted: the work is counted in instructions of SQLite's own machine.
"""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, ListedRow, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import fast_folder, open_ledger, row, stored

pytestmark = pytest.mark.long

IMAGES, PAGE = 100_000, 2000


def page(start: int) -> list[ListedRow]:
    return [
        row(10**14 + number, 1_700_000_000_000 - number * 977)
        for number in range(start, start + PAGE)
    ]


@pytest.fixture(scope="module")
def grown() -> Iterator[tuple[Ledger, dict[str, int], dict[str, int]]]:
    """Return a ledger of so many images, and what each step cost early and late."""
    with fast_folder() as folder, open_ledger(folder / "ledger.sqlite") as ledger:
        early: dict[str, int] = {}
        for start in range(0, IMAGES, PAGE):
            cursor = ledger.listing.position().cursor
            ledger.listing.commit(cursor, f"c{start}", page(start))
            if start == PAGE:
                early = costs(ledger)
        yield ledger, early, costs(ledger)


def cost(ledger: Ledger, step: Callable[[], Any]) -> int:
    """Return how many hundred instructions a step takes."""
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    ledger.database._connection.set_progress_handler(tick, 100)
    try:
        step()
    finally:
        ledger.database._connection.set_progress_handler(None, 0)
    return ticks


def costs(ledger: Ledger) -> dict[str, int]:
    """Take every step of a crawl once; the ledger is as before, except for some saved images."""
    queue = ledger.queue
    position = ledger.listing.position().cursor
    measured = {"draw": cost(ledger, lambda: queue.draw(1e12, 256))}
    numbers = list(queue._drawn)
    failures = [FailedAttempt(number, "trouble", 0.0) for number in numbers[:64]]
    measured |= {
        "next due": cost(ledger, queue.next_due),
        "waiting": cost(ledger, queue.waiting),
        "save": cost(ledger, lambda: ledger.save([stored(number) for number in numbers[64:128]])),
        "settle": cost(ledger, lambda: ledger.settle(numbers[128:192], State.GONE)),
        "fail": cost(ledger, lambda: queue.fail(failures)),
        "renew": cost(ledger, lambda: queue.renew({numbers[192]: ("https://x", None)})),
        "listed": cost(ledger, ledger.images.listed),
        "progress": cost(ledger, ledger.survey.kept),
        "known page": cost(
            ledger, lambda: ledger.listing.commit(position, f"{position}>", page(PAGE))
        ),
        "start of run": cost(ledger, ledger.listing.start_run),
    }
    queue.put_back(numbers)
    return measured


def test_every_step_costs_the_same_as_at_the_start(
    grown: tuple[Ledger, dict[str, int], dict[str, int]],
) -> None:
    _, early, late = grown
    assert early["draw"] > 0
    assert early["known page"] > 100
    dearer = {
        step: (early[step], late[step]) for step in early if late[step] > 1.5 * early[step] + 5
    }
    assert dearer == {}


def test_the_order_of_the_manifests_costs_no_memory(
    grown: tuple[Ledger, dict[str, int], dict[str, int]],
) -> None:
    ledger, _, _ = grown
    tracemalloc.start()
    try:
        records = streams.in_order(LedgerHere(ledger))
        first = [record.number for record in islice(records, 1000)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
    rest = [record.number for record in records]
    assert [*first, *rest] == list(range(IMAGES, 0, -1))  # listed newest first


def test_the_balance_is_still_true(
    grown: tuple[Ledger, dict[str, int], dict[str, int]],
) -> None:
    ledger, _, _ = grown
    assert ledger.images.balance().listed == IMAGES
    assert ledger.survey.recount() == {
        state: kept for state, kept in ledger.survey.kept().items() if kept[0]
    }


def realistic(number: int, chance: random.Random) -> dict[str, Any]:
    """Return a row as the API gives it (Graph API: image fields)."""
    longitude, latitude = chance.uniform(-180, 180), chance.uniform(-90, 90)
    return {
        "id": str(chance.randrange(10**14, 10**17)),
        "altitude": round(chance.uniform(0, 2000), 3),
        "atomic_scale": round(chance.uniform(0.9, 1.1), 14),
        "camera_parameters": [0.85136388143343, -6.6499673206348e-05, -3.8067681992196e-05],
        "camera_type": "perspective",
        "captured_at": 1_700_000_000_000 - number * 977,
        "compass_angle": round(chance.uniform(0, 360), 2),
        "computed_altitude": round(chance.uniform(0, 2000), 10),
        "computed_compass_angle": round(chance.uniform(0, 360), 11),
        "computed_geometry": {"type": "Point", "coordinates": [longitude + 1e-5, latitude]},
        "computed_rotation": [round(chance.uniform(-2, 2), 14) for _ in range(3)],
        "creator": {"username": "alice", "id": "104214208486349"},
        "exif_orientation": 1,
        "geometry": {"type": "Point", "coordinates": [round(longitude, 12), round(latitude, 12)]},
        "height": 3120,
        "is_pano": False,
        "make": "GoPro",
        "merge_cc": 4.546427159383e18,
        "model": "HERO7 Black",
        "quality_score": round(chance.random(), 13),
        "sequence": "7nfcwfvjdtphz7yj6zat6a",
        "width": 4160,
        "thumb_2048_url": f"https://cdn.example.org/{number}?oe=68B04FC4&" + "x" * 400,
    }


def test_an_image_costs_300_to_500_bytes(path: Path) -> None:
    chance, images = random.Random(1), 6000
    with open_ledger(path) as ledger:
        for start in range(0, images, PAGE):
            rows = [
                listed
                for number in range(start, start + PAGE)
                if (listed := listed_row(realistic(number, chance), Collection("alice", "2048")))
            ]
            cursor = ledger.listing.position().cursor
            ledger.listing.commit(cursor, f"c{start}", rows)
            ledger.save([stored(number + 1, 700_000) for number in range(start, start + PAGE)])
        used = ledger.database.value(
            "SELECT (SELECT page_count FROM pragma_page_count) - "
            "(SELECT freelist_count FROM pragma_freelist_count)"
        ) * ledger.database.value("PRAGMA page_size")
        assert (
            json.loads(ledger.images.line(next(streams.in_order(LedgerHere(ledger)))))["width"]
            == 4160
        )
    assert 300 * images <= used <= 500 * images, used / images
