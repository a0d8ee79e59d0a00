"""Images that vanish or appear while they are crawled: the balance holds, with names."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.ledger.records import State
from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.killing import MOMENTS, crawl
from tests.crawling import Crawling, Result, images, manifest, states

pytestmark = pytest.mark.long

USER = {"username": "frank", "images": 200, "days": 5.0, "dead": 2, "no_url": 0.02, "late": 6}
NAME = "mapillary-frank-256"
ARGUMENTS: dict[str, Any] = {"username": "frank", "quality": "256", "check_ia": 0}
#: Pages of 62 rows.
SMALL = {"too_much_above": 63}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([USER], seed=17) as running:
        yield running


def killed_and_completed(crawling: Crawling, phase: str) -> Result:
    """Kill a crawl in a phase, then run the same command to its end."""
    moment = next(each for each in MOMENTS if each.phase == phase)
    run = crawl(crawling, NAME, moment=moment, chance=random.Random(3), **ARGUMENTS)
    assert run.process.returncode == -9, "".join(run.lines)
    result = crawling.run(**ARGUMENTS)
    assert result.code == 0, result.output
    balance = result.balance
    assert balance["listed"] == sum(balance.values()) - balance["listed"]
    assert balance["failed"] == 0
    return result


def assert_balance_is_true(folder: Path, balance: dict[str, int]) -> None:
    """Assert that the last line's figures are those of the files."""
    assert len(manifest(folder / "metadata.jsonl.gz")) == balance["listed"]
    assert len(images(folder)) == balance["saved"]
    reasons = [row["reason"] for row in manifest(folder / "gone.jsonl")]
    assert reasons.count("deleted") == balance["gone"]
    assert reasons.count("no-url-at-quality") == balance["unavailable"]


@pytest.mark.parametrize("listed", [False, True])
def test_images_vanish(sandbox: Sandbox, tmp_path: Path, *, listed: bool) -> None:
    known = list(sandbox.catalogue.user("frank").images())
    vanishing = {image.image_id for image in random.Random(1).sample(known, 40)}
    sandbox.reset()
    sandbox.set_faults(
        {
            "api": {
                "vanish": sorted(vanishing), "vanish_after": 7, "vanish_listed": listed, **SMALL,
            },
            "cdn": {"latency_ms": 200},
        }
    )  # fmt: skip
    crawling = Crawling(tmp_path / "store", sandbox)
    result = killed_and_completed(crawling, "fetching")
    assert_balance_is_true(crawling.store / NAME, result.balance)
    found = states(crawling.store / NAME)
    for image in known:
        if image.image_id in vanishing:
            assert found.get(image.image_id, State.GONE) in (
                State.SAVED, State.GONE, State.UNAVAILABLE,
            )  # fmt: skip
        elif image.dead:
            assert found[image.image_id] is State.GONE
        else:
            there = image.has_url("256")
            assert found[image.image_id] is (State.SAVED if there else State.UNAVAILABLE)
    gone = {name for name in vanishing if found.get(name) is State.GONE}
    assert len(gone) > 5
    assert listed <= (vanishing <= set(found))


def test_images_appear_in_a_listing_that_is_interrupted(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults(
        {"api": {"appear_after": 7, "latency_ms": 100, **SMALL}, "cdn": {"latency_ms": 50}}
    )
    crawling = Crawling(tmp_path / "store", sandbox)
    result = killed_and_completed(crawling, "listing")
    found = states(crawling.store / NAME)
    everything = {image.image_id for image in sandbox.catalogue.user("frank").images(late=True)}
    assert set(found) == everything
    assert result.balance["listed"] == 200
    assert_balance_is_true(crawling.store / NAME, result.balance)


def test_images_appear_behind_the_cursor(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults({"api": {"appear_after": 8, **SMALL}})
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run(**ARGUMENTS)
    assert result.code == 0, result.output
    found = states(crawling.store / NAME)
    at_first = {image.image_id for image in sandbox.catalogue.user("frank").images()}
    assert at_first <= set(found)
    assert result.balance["listed"] == len(found)
    assert_balance_is_true(crawling.store / NAME, result.balance)
