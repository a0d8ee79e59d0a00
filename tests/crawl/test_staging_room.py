"""What is drawn fits, what holds back a part comes first, and the end says why."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from mapillary_crawler.archive.finish.parts import closed, padded
from mapillary_crawler.collection.layout import STATE
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl import staging_room
from mapillary_crawler.crawl.staging_room import StagingRoom
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DueImage, FailedAttempt, PieceState
from tests.ledgers import fast_folder, open_ledger, row, stored
from tests.runs import plain_run

_DAY = 86_400_000
_FIRST = 1705276800000
_PART, _IN_FLIGHT = 400_000, 200_000


class Simulated:
    """A run on a real ledger; images come at once, tars are made and removed between two draws."""

    def __init__(self, folder: Path, ledger: Ledger, days: list[int], bound: int) -> None:
        self.ledger = ledger
        self.chance = random.Random(len(days))
        rows, number = [], 0
        for day, count in enumerate(days):
            for _ in range(count):
                number += 1
                rows.append(row(number, _FIRST + day * _DAY, sequence=f"s{number % 7}"))
        ledger.listing.commit(None, None, rows)
        ledger.listing.close()
        self.state = SimpleNamespace(
            can_free=False, trouble=None, words="", uploaded=0, verified=0, here_bytes=0
        )
        self.sealing = SimpleNamespace(busy=False, day="", trouble=None, looks=0, wake=self._wake)
        configuration = SimpleNamespace(
            in_flight_bytes=_IN_FLIGHT, staging_max_bytes=bound, min_free_bytes=0
        )
        arguments = SimpleNamespace(accept_failed=False, remove=True)
        self.run = plain_run(
            ledger,
            opened={"configuration": configuration, "arguments": arguments, "folder": folder},
            upload=SimpleNamespace(state=self.state),
            sealing=self.sealing,
        )
        self.room = StagingRoom(self.run, _PART)
        self.bad: set[int] = set()
        self.peak = 0
        self.held: list[str] = []

    def _wake(self) -> None:
        self.sealing.looks += 1

    def draw(self) -> list[DueImage]:
        return asyncio.run(self.room.draw(256, only_renewed=False))

    def settle(self, drawn: list[DueImage]) -> None:
        for image in drawn:
            if image.number in self.bad:
                self.ledger.queue.fail([FailedAttempt(image.number, "reset", math.inf)])
            else:
                self.ledger.save([stored(image.number, self.chance.randrange(5000, 30_000))])

    def used(self) -> int:
        here = self.ledger.staged.bytes()
        return here.loose_bytes + here.tar_bytes

    def seal(self) -> None:
        """Make the tars that can be made."""
        for day in [each.day for each in self.ledger.staged.days()]:
            while part := self._full(day):
                number = self.ledger.pieces.next_part(day)
                name = f"{day}.{number}.tar"
                piece = self.ledger.pieces.start_tar(name, day, number)
                numbers, size = part
                self.peak = max(self.peak, self.used() + size)
                self.ledger.pieces.written(piece, size=size, sha256=b"", md5=b"")
                self.ledger.pieces.seal_tar(piece, [(each, 0) for each in numbers])
                self.held.append(name)
        self.state.can_free = bool(self.held)

    def _full(self, day: str) -> tuple[list[int], int] | None:
        ids: list[int] = []
        size = 0
        for each in self.ledger.staged.rows(day, "", 100_000):
            if each.size is None:
                return None
            following = size + 512 + padded(each.size)
            if ids and closed(following) >= _PART:
                break
            ids.append(int(each.key.rpartition("/")[2].rstrip(".")))
            size = following
        return (ids, closed(size)) if ids else None

    def remove(self) -> None:
        for name in self.held:
            self.ledger.pieces.set_state(name, PieceState.REMOVED)
        self.held = []
        self.state.can_free = False

    def crawl(self, draws: int = 3000) -> None:
        """Crawl until all is settled and removed; raises `EndOfRun`."""
        for number in range(draws):
            self.settle(self.draw())
            self.peak = max(self.peak, self.used())
            self.seal()
            if number % 5 == 0:
                self.remove()
            if not self.ledger.images.balance().unsettled:
                return
        raise AssertionError("stuck")


@contextmanager
def simulated(*days: int, bound: int = 2 * _PART + _IN_FLIGHT) -> Iterator[Simulated]:
    with fast_folder() as folder, open_ledger(folder / "ledger.sqlite") as ledger:
        yield Simulated(folder, ledger, list(days), bound)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_room, "_MISSING_HOLDS", 0.0)
    monkeypatch.setattr(staging_room, "_AS_LONG", 0)
    monkeypatch.setattr(staging_room, "_BETWEEN_LOOKS", 0.0)


@pytest.mark.parametrize("days", [(40, 3, 90, 1, 60, 20), (300,)])
def test_all_is_fetched_in_order_within_the_bound(days: tuple[int, ...]) -> None:
    with simulated(*days) as run:
        run.crawl()
        assert run.peak < 2 * _PART + _IN_FLIGHT + _PART


def test_days_that_fit_come_first_in_a_full_folder() -> None:
    with simulated(*[30] * 10, bound=2_000_000) as run:
        full = [number for number in range(1, 301) if number % 30 > 12]
        for number in full:
            run.ledger.save([stored(number, 12_000)])
        run.ledger.staged.make()
        few = [number for number in range(31, 61) if number % 30 <= 12 and number % 30 != 5]
        for number in few:
            run.ledger.save([stored(number, 100)])
        run.run.collection.configuration.staging_max_bytes = run.used() + 500_000
        drawn = run.draw()
        assert {image.day for image in drawn} == {"2024-01-16"}
        assert [image.number for image in drawn] == [35]


def test_a_ledger_gives_its_wal_back_before_a_run_ends_by_want_of_room() -> None:
    bound = 2 * _PART + _IN_FLIGHT + 500_000
    with fast_folder() as folder:
        (folder / STATE).mkdir()
        with open_ledger(folder / STATE / "ledger.sqlite") as ledger:
            run = Simulated(folder, ledger, [40, 40], bound)
            for number in range(60):
                ledger.facts.set(passed_over=[str(number) * 20_000])
            ledger.facts.set(passed_over=[])
            assert (folder / STATE / "ledger.sqlite-wal").stat().st_size > bound
            run.crawl()


def test_what_failed_is_named_and_may_be_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated(120, 120) as run:
        run.bad = {1, 121}
        with pytest.raises(EndOfRun, match=r"2024-01-15, 2024-01-16, and nothing") as raised:
            run.crawl()
        assert raised.value.outcome is Outcome.INCOMPLETE
        assert "accept_failed=1" in str(raised.value)
        run.run.collection.arguments.accept_failed = True
        run.crawl()
        assert run.ledger.images.balance().accepted == 2


def test_no_room_says_what_keeps_uploads_from_making_any() -> None:
    with simulated(*[25] * 30) as run:
        run.state.trouble = "archive.org refused the keys"
        run.seal = run.remove = lambda: None  # type: ignore[method-assign]
        with pytest.raises(EndOfRun, match=r"archive\.org refused the keys") as raised:
            run.crawl()
        assert raised.value.outcome is Outcome.DISK_FULL
        assert "STAGING_MAX_BYTES=" in str(raised.value)


def test_it_is_waited_while_uploads_make_room_and_said_what_for() -> None:
    with simulated(*[25] * 30) as run:
        run.seal = run.remove = lambda: None  # type: ignore[method-assign]
        run.state.can_free = True
        with pytest.raises(AssertionError, match="stuck"):
            run.crawl(draws=60)
        assert run.draw() == []
        assert run.room.words == "room"
        run.state.uploaded, run.state.verified = 5, 3
        assert run.draw() == []
        assert run.room.words == "room: archive.org still checks 2 parts"
