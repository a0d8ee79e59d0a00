"""The room is enough for a part, is never exceeded by more than one, and nothing gets stuck."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.archive.finish.parts import closed, padded
from mapillary_crawler.collection.units import read_size
from mapillary_crawler.crawl.room import (
    Decision,
    Move,
    Reach,
    Space,
    Stretch,
    decide,
    held_back,
    no_room,
    space,
    too_small,
)

#: Steps that a simulated crawl may take; each of them moves something.
_STEPS = 20_000
_MARGIN = 9 / 8


@dataclass
class Row:
    """An image: its bytes, and how often it fails (for ever, if negative)."""

    size: int
    failures: int = 0
    saved: bool = False
    given_up: bool = False
    failed: bool = False
    on_its_way: bool = False


@dataclass
class Tar:
    size: int
    ready: int


@dataclass
class Crawl:
    """A crawl with uploads in miniature: rows of days in the order of their members."""

    days: dict[str, list[Row]]
    bound: int
    part: int
    in_flight: int
    chance: random.Random
    #: Bytes of the disk, and what is to be left of them.
    disk: int = 1 << 50
    min_free: int = 0
    delay: int = 20
    #: Whether archive.org takes anything.
    uploads: bool = True
    tars: list[Tar] = field(default_factory=list)
    peak: int = 0
    step: int = 0
    #: Rows in the tar that is written, its end, and its size.
    writing: tuple[str, int, int, int] | None = None
    sealed: dict[str, int] = field(default_factory=dict)
    on_their_way: list[tuple[int, Row]] = field(default_factory=list)
    decision: Decision | None = None

    def used(self) -> int:
        loose = sum(
            row.size
            for day, rows in self.days.items()
            for row in rows[self.sealed.get(day, 0) :]
            if row.saved
        )
        return loose + sum(tar.size for tar in self.tars)

    def mean(self) -> int:
        """Return the bytes that an image is expected to have, those of the first one a guess."""
        sizes = [row.size for rows in self.days.values() for row in rows if row.saved]
        return int(_MARGIN * sum(sizes) / len(sizes)) if sizes else 100_000

    def run(self) -> Move | None:
        """Crawl until all is uploaded (None), or the run ends with another move."""
        while self.step < _STEPS:
            self.step += 1
            self._settle()
            self._upload()
            self._seal()
            end = self._feed()
            writing = self.writing[2] if self.writing else 0
            self.peak = max(self.peak, self.used() + writing)
            if end:
                return end
            if not (self._missing() or self.tars or self.writing or self.used()):
                return None
        raise AssertionError(f"stuck: {self.space()} {self.decision} {self._full()}")

    def _missing(self) -> list[tuple[str, Row]]:
        return [(day, row) for day in sorted(self.days) for row in self.days[day] if not row.saved]

    def _settle(self) -> None:
        arrived = [each for each in self.on_their_way if each[0] <= self.step]
        for each in arrived:
            self.on_their_way.remove(each)
            row = each[1]
            row.on_its_way = False
            if row.failures:
                row.failed, row.given_up = True, row.failures < 0
                row.failures -= 1
            else:
                row.saved = True

    def _upload(self) -> None:
        if self.uploads:
            self.tars = [tar for tar in self.tars if tar.ready > self.step]

    def _full(self) -> tuple[str, int, int] | None:
        """Return the first part that can be closed: its day, end and size."""
        for day in sorted(self.days):
            start, rows = self.sealed.get(day, 0), self.days[day]
            if start < len(rows) and (cut := self._cut(rows, start)):
                size = cut[1]
                if self.used() + size <= min(self.disk, (self.bound or self.disk) + self.part):
                    return (day, *cut)
        return None

    def _cut(self, rows: list[Row], start: int) -> tuple[int, int] | None:
        size = 0
        for end, row in enumerate(rows[start:], start):
            if not row.saved:
                return None
            following = size + tarfile.BLOCKSIZE + padded(row.size)
            if end > start and closed(following) >= self.part:
                return end, closed(size)
            size = following
        return len(rows), closed(size)

    def _seal(self) -> None:
        if self.writing:
            day, end, size, until = self.writing
            if self.step < until:
                return
            self.sealed[day] = end
            self.tars.append(Tar(size, self.step + self.chance.randrange(1, self.delay)))
            self.writing = None
        if full := self._full():
            self.writing = (*full, self.step + self.chance.randrange(1, 6))

    def space(self) -> Space:
        used = self.used()
        return space(
            used=used,
            in_flight=len(self.on_their_way) * self.mean(),
            free=self.disk - used - (self.writing[2] if self.writing else 0),
            part=self.part,
            in_flight_bytes=self.in_flight,
            staging_max_bytes=self.bound,
            min_free_bytes=self.min_free,
        )

    def _feed(self) -> Move | None:
        room = self.space()
        due = [
            (day, row)
            for day, row in self._missing()
            if not row.given_up and not row.on_its_way and self.chance.random() < 0.9
        ]
        to_retry = sum(
            row.failed and not (row.given_up or row.on_its_way) for _, row in self._missing()
        )
        limit = min(room.fits(self.mean(), to_retry), 20)
        if limit:
            self._send(due[:limit])
            return None
        can_free = self.uploads and bool(self.tars or self.writing or self._full())
        found = decide(
            room, self._stretches(), can_free=can_free, on_their_way=bool(self.on_their_way)
        )
        self.decision = found
        if found.move is Move.FEED:
            most = 20 - len(self.on_their_way)
            for stretch in found.fed:
                wanted = [row for row in self.days[stretch.day] if not row.saved][: stretch.missing]
                some = [each for each in due if any(each[1] is row for row in wanted)][:most]
                self._send(some)
                most -= len(some)
        return found.move if found.move in (Move.NO_ROOM, Move.HELD_BACK) else None

    def _send(self, rows: list[tuple[str, Row]]) -> None:
        for _, row in rows:
            row.on_its_way = True
            self.on_their_way.append((self.step + self.chance.randrange(1, 8), row))

    def _stretches(self) -> Iterator[Stretch]:
        for day, rows in self.days.items():
            reach = Reach(day, self.part, self.mean())
            for row in rows[self.sealed.get(day, 0) :]:
                if reach.take(row.size if row.saved else None, failed=row.given_up):
                    break
            begun = self.decision is not None and any(day == fed.day for fed in self.decision.fed)
            yield reach.stretch(begun=begun)


def days_of(chance: random.Random, total: int, days: int, mean: int) -> dict[str, list[Row]]:
    """Return so many bytes in so many days of very different sizes."""
    weights = [chance.expovariate(1) for _ in range(days)]
    found = {}
    for number, weight in enumerate(weights):
        rows, left = [], total * weight / sum(weights)
        while left > 0:
            rows.append(Row(int(mean * chance.uniform(0.5, 1.5))))
            left -= rows[-1].size
        found[f"2024-01-{number + 1:02}"] = rows
    return found


def shuffled(crawl: Crawl) -> list[Row]:
    rows = [row for rows in crawl.days.values() for row in rows]
    crawl.chance.shuffle(rows)
    return rows


def made(seed: int, *, parts: float = 3.0, days: int = 12, mean: int = 50_000) -> Crawl:
    """Return a crawl of six times its bound, in which so many parts have room."""
    chance = random.Random(seed)
    part = 1_000_000
    bound = int(part * parts)
    rows = days_of(chance, 6 * bound, days, mean)
    return Crawl(rows, bound, part, 400_000, chance, delay=chance.choice([2, 20, 60]))


@pytest.mark.parametrize("seed", range(12))
def test_a_user_of_six_times_the_bound_passes_below_it(seed: int) -> None:
    crawl = made(seed, parts=2.4 + seed / 4)
    for row in crawl.chance.sample(shuffled(crawl), 40):
        row.failures = crawl.chance.randrange(1, 4)
    assert crawl.run() is None
    assert crawl.peak < crawl.bound + crawl.part


@pytest.mark.parametrize("seed", range(8))
def test_a_day_of_three_times_the_bound_passes_too(seed: int) -> None:
    crawl = made(seed, days=1)
    assert crawl.run() is None
    assert crawl.peak <= crawl.bound + crawl.part // 8


@pytest.mark.parametrize("seed", range(12))
def test_a_folder_full_of_images_of_many_days_gets_empty(seed: int) -> None:
    """As a crawl without uploads leaves it: in the order of listing, up to the bound."""
    crawl = made(seed, days=30)
    used = 0
    for row in shuffled(crawl):
        if used + row.size > crawl.bound:
            break
        row.saved, used = True, used + row.size
    assert crawl.run() is None
    assert crawl.peak < crawl.bound + crawl.part


@pytest.mark.parametrize("seed", range(12))
def test_a_full_folder_of_a_large_day_goes_on_or_says_how_much_would_do(seed: int) -> None:
    crawl = made(seed, days=1)
    full = crawl.bound - (int(1.2 * crawl.part) if seed % 2 else 0)
    used = 0
    for row in shuffled(crawl):
        if used + row.size > full:
            break
        row.saved, used = True, used + row.size
    end = crawl.run()
    if seed % 2:  # room for any part
        assert end is None
    elif end is Move.NO_ROOM:
        assert crawl.decision is not None
        crawl.bound += crawl.decision.lacking
        assert crawl.run() is None
    assert crawl.peak < crawl.bound + crawl.part


@pytest.mark.parametrize("seed", range(8))
def test_images_that_fail_hold_back_their_tars_alone(seed: int) -> None:
    crawl = made(seed, days=40)
    for row in crawl.chance.sample(shuffled(crawl), 4):
        row.failures = -1
    failing = {day for day, row in crawl._missing() if row.failures}
    whole = sum(row.size for rows in crawl.days.values() for row in rows)
    held = sum(row.size for day in failing for row in crawl.days[day])
    end = crawl.run()
    assert end is Move.HELD_BACK
    assert crawl.decision is not None
    assert set(crawl.decision.held) <= failing
    if held < crawl.bound - crawl.part:  # they leave room for all else
        left = {day for day, row in crawl._missing()}
        assert left == failing, whole
    assert crawl.peak < crawl.bound + crawl.part
    for _, row in crawl._missing():
        row.failures, row.given_up, row.failed = 0, False, False
    assert crawl.run() is None


@pytest.mark.parametrize("seed", range(4))
def test_without_uploads_the_room_is_used_up_and_the_run_ends(seed: int) -> None:
    crawl = made(seed)
    crawl.uploads = False
    assert crawl.run() is Move.NO_ROOM
    assert crawl.peak < crawl.bound + crawl.part


@pytest.mark.parametrize("seed", range(6))
def test_a_disk_that_is_full_but_for_min_free_bytes_gets_empty_or_says_what_would_do(
    seed: int,
) -> None:
    crawl = made(seed, days=60)
    crawl.disk, crawl.min_free, crawl.bound = crawl.bound, 900_000, 0
    used = 0
    for row in shuffled(crawl):
        if used + row.size > crawl.disk - crawl.min_free:
            break
        row.saved, used = True, used + row.size
    crawl_end = crawl.run()
    assert crawl_end in (None, Move.NO_ROOM)
    assert crawl.peak <= crawl.disk
    if crawl_end:
        assert crawl.decision is not None
        crawl.disk += crawl.decision.lacking
        assert crawl.run() is None


_STRETCHES = st.lists(
    st.builds(
        Stretch,
        day=st.sampled_from([f"2024-01-{day:02}" for day in range(1, 29)]),
        missing=st.integers(0, 50),
        missing_bytes=st.integers(0, 3000),
        tar_bytes=st.integers(0, 1000),
        failed=st.sampled_from([0, 0, 0, 1]),
        held=st.integers(0, 3000),
    ),
    max_size=8,
    unique_by=lambda each: each.day,
)
_SPACES = st.builds(
    space,
    used=st.integers(0, 4000),
    in_flight=st.integers(0, 500),
    free=st.one_of(st.none(), st.integers(0, 4000)),
    part=st.just(1000),
    in_flight_bytes=st.just(500),
    staging_max_bytes=st.sampled_from([0, 2500, 4000]),
    min_free_bytes=st.sampled_from([0, 300, 2000]),
)


@settings(max_examples=400)
@given(_SPACES, _STRETCHES, st.booleans(), st.booleans())
def test_what_is_fed_fits_and_an_end_is_a_last_resort(
    room: Space, stretches: list[Stretch], can_free: bool, on_their_way: bool
) -> None:
    found = decide(room, stretches, can_free=can_free, on_their_way=on_their_way)
    hopeful = {each.day: each for each in stretches if each.missing and not each.failed}
    waits = can_free or on_their_way
    if found.move is Move.FEED:
        fed = found.fed
        assert fed
        assert all(each in hopeful.values() for each in fed)
        needed = sum(each.missing_bytes for each in fed) + max(each.tar_bytes for each in fed)
        assert room.taken + needed <= (room.bound if waits else max(room.bound, room.most))
    else:
        assert all(
            room.taken + each.missing_bytes + room.part > room.bound for each in hopeful.values()
        )
    if found.move in (Move.NO_ROOM, Move.HELD_BACK):
        assert not waits
        assert all(room.taken + each.needs > room.most for each in hopeful.values())
    if found.move is Move.HELD_BACK:
        assert found.held
    if found.move is Move.NO_ROOM:
        least = min(each.needs for each in hopeful.values())
        assert least + room.taken <= room.most + found.lacking <= least + room.taken + room.slack


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(-(10**6), 10**7),
    st.sampled_from([0, 10_000, 10**6, 10**7]),
    st.booleans(),
)
def test_a_value_that_is_named_fits(
    part: int, in_flight: int, free: int, staging: int, fixed: bool
) -> None:
    room = min(staging or free, free)
    said = too_small(
        room, part=part, in_flight=in_flight, staging_max_bytes=staging, part_is_fixed=fixed
    )
    assert (said is None) == (2 * part + in_flight <= room)
    if said is None:
        return
    ways = said.rpartition("; ")[2].removesuffix(" would do").split(" or ")
    assert not (fixed and "TAR_MAX_BYTES" in ways[0])
    for way in ways:
        named = {
            name: read_size(value)
            for name, _, value in (word.partition("=") for word in way.split() if "=" in word)
        }
        larger = named.get("STAGING_MAX_BYTES", room)
        if way.endswith("more"):
            larger = room + int(way.split()[0])
        assert too_small(
            larger,
            part=named.get("TAR_MAX_BYTES", part),
            in_flight=named.get("IN_FLIGHT_BYTES", in_flight),
            staging_max_bytes=larger,
            part_is_fixed=fixed,
        ) is None, said  # fmt: skip


def test_the_ends_say_what_would_do() -> None:
    room = space(
        used=5900,
        in_flight=0,
        free=None,
        part=1000,
        in_flight_bytes=400,
        staging_max_bytes=6000,
        min_free_bytes=0,
    )
    decision = decide(
        room, [Stretch("2024-01-15", 5, 900, 1000)], can_free=False, on_their_way=False
    )
    assert decision.move is Move.NO_ROOM
    said = no_room(decision, room, 6000, "archive.org refused the keys")
    assert "archive.org refused the keys" in said
    assert "STAGING_MAX_BYTES=6925 would do" in said
    days = [f"2024-01-{day:02}" for day in range(1, 8)]
    assert "2024-01-05 and 2 more" in held_back(days)
    assert "accept_failed=1" in held_back(days)
