"""Updates of collections made through the ledger, without a crawl, and what is to hold of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mapillary_crawler.archive.finish.finishing import Finished
from mapillary_crawler.archive.finish.sums import read_sums
from mapillary_crawler.archive.update.beginning import begin_update
from mapillary_crawler.archive.update.finishing import finish_updated
from mapillary_crawler.archive.update.journal import finish_update, is_half_done
from mapillary_crawler.collection.layout import LEDGER_PATH, MANIFESTS, SUMS, VIEWS
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import ANN, Picture, deterministic_set, store
from tests.archive.finish.test_killed import kills_at_any_line

NAME = ANN.name


def update(
    staged: Path,
    folder: Path,
    service: Sequence[Picture],
    *,
    tar: bool = True,
    say: Callable[[str], None] = lambda _: None,
    fetched: list[str] | None = None,
    accept_failed: bool = False,
) -> Finished | None:
    """Do what a crawl with update=1 does, of a service that has these images.

    None where what an earlier one left half done was all that was to do, as for one without.
    """
    finish_update(folder, staged)
    begin_update(folder, staged)
    ledger = Ledger(staged / LEDGER_PATH)
    try:
        ledger.start_run()
        _list(ledger, service)
        _fetch(staged, ledger, service, fetched)
        return finish_updated(
            LedgerHere(ledger),
            ANN,
            staged,
            folder,
            tar=tar,
            tar_max_bytes=10_240 * 2,
            accept_failed=accept_failed,
            stop=lambda: False,
            say=say,
        )
    finally:
        ledger.close()


def _list(ledger: Ledger, service: Sequence[Picture]) -> None:
    """Go through the listing, as often as an update does."""
    position = ledger.listing.position()
    while not position.closed:
        if not position.ended:
            rows = [listed_row(picture.row, ANN) for picture in service]
            ledger.listing.commit(None, None, [row for row in rows if row])
        if not ledger.update.lists_again():
            ledger.listing.close()
        position = ledger.listing.position()


def _fetch(
    staged: Path, ledger: Ledger, service: Sequence[Picture], fetched: list[str] | None
) -> None:
    """Fetch what is due, as far as the service has it."""
    there = {str(picture.image_id): picture for picture in service}
    for due in ledger.queue.draw(math.inf, 10_000):
        picture = there.get(due.image_id)
        if fetched is not None:
            fetched.append(due.image_id)
        if picture is None or picture.state is State.UNSETTLED:
            ledger.queue.fail([FailedAttempt(due.number, "it did not come", math.inf)])
        elif picture.state is State.SAVED:
            ledger.save([store(staged, due.number, picture)])
        elif picture.state is not State.DAMAGED:
            ledger.settle([due.number], picture.state)
        elif not ledger.stays_damaged(due.number):
            ledger.save([store(staged, due.number, picture)])


def later(service: Sequence[Picture], *without: Picture, more: int = 7) -> list[Picture]:
    """Return what a service has later: other images of old days and of a new one, less some."""
    first = service[0]
    assert first.captured_at is not None
    new = [
        replace(
            first,
            image_id=str(10**16 + number),
            captured_at=first.captured_at + number * 40_000_000,
            body=b"later " * (number + 1),
        )
        for number in range(more)
    ]
    return [*(picture for picture in service if picture not in without), *new]


def assert_whole(folder: Path, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Assert what holds of a collection at every instant of its update."""
    found = deterministic_set(folder)
    for name in (*MANIFESTS, *VIEWS, SUMS):
        assert found.get(name) in (old.get(name), new.get(name)), name
    wrong = {
        name
        for name, sha256 in read_sums(folder / SUMS)
        if name not in found or hashlib.sha256(found[name]).digest() != sha256
    }
    assert wrong <= {*MANIFESTS, *VIEWS}, wrong
    if not is_half_done(folder):
        assert not wrong
        assert found in (old, new)


def assert_kills_change_nothing(
    run: Callable[[], None],
    fresh: Callable[[], None],
    template: Path,
    folder: Path,
    *,
    rounds: int,
    seed: int,
    ended: Callable[[], None],
) -> None:
    """Kill what changes a collection at any line, in rounds, and run it again until it ends.

    `fresh` makes `folder` what `template` is; `ended` looks at what a run to the end has left.
    """
    old = deterministic_set(template)
    fresh()
    run()
    new = deterministic_set(folder)
    assert old != new
    half_done = 0

    def killed_once() -> bool:
        nonlocal half_done
        half_done += is_half_done(folder)
        assert_whole(folder, old, new)
        return False

    def to_the_end(_at: int) -> None:
        assert deterministic_set(folder) == new
        ended()

    kills = kills_at_any_line(rounds, fresh, run, to_the_end, killed_once=killed_once, seed=seed)
    assert kills >= rounds
    assert half_done or rounds < 30
