"""Tars that are made while the crawl goes on are those that are made at its end."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.archive.finish import seal
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.crawl import sealing as module
from mapillary_crawler.crawl.sealing import Sealing
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, Source, State
from mapillary_crawler.ledger.thread import LedgerHere, LedgerThread
from tests.archive.finish.made import (
    ANN,
    DAY,
    NOON,
    Picture,
    add,
    deterministic_set,
    finish,
    pictures,
    saved,
    settle,
)
from tests.archive.finish.test_killed import killed, lines_of
from tests.archive.finish.test_samples import samples

NAME = ANN.name
MAX_BYTES = 10_240 * 2
TAR = "2024-01-15.tar"


def sealing_of(folder: Path, ledger: Ledger, **options: Any) -> Sealing:
    configuration = SimpleNamespace(min_free_bytes=0, in_flight_bytes=0)
    opened: Any = SimpleNamespace(
        ledger=LedgerHere(ledger), folder=folder, configuration=configuration,
        arguments=SimpleNamespace(remove=False), updating=False,
        **{"tar": True, "tar_max_bytes": MAX_BYTES} | options,
    )  # fmt: skip
    return Sealing(opened, lambda: False)


def look(sealing: Sealing) -> None:
    while sealing._seal_what_is_done():
        pass


class Crawl:
    """A collection in staging, listed and closed, whose images come as a test says."""

    def __init__(self, folder: Path, some: Sequence[Picture], **opened: Any) -> None:
        self.folder = folder / "staging" / NAME
        self.store = folder / "store"
        (self.folder / LEDGER_PATH).parent.mkdir(parents=True)
        self.ledger = Ledger(self.folder / LEDGER_PATH)
        self.ledger.database.execute("PRAGMA synchronous = OFF")
        listed = [listed_row(picture.row, ANN) for picture in some]
        self.ledger.listing.commit(None, None, [row for row in listed if row])
        self.ledger.listing.close()
        self.waiting = list(enumerate(some, 1))
        self.sealed: list[str] = []
        self.options = opened
        self.begin()

    def begin(self) -> None:
        """Begin a run, as after a kill."""
        self.sealing = sealing_of(self.folder, self.ledger, **self.options)
        self.sealing.on_sealed.append(self._note)

    def _note(self) -> None:
        self.sealed = sorted(path.name for path in self.folder.glob("*.tar"))

    def come(self, count: int) -> None:
        """Settle the next images that wait."""
        settle(self.folder, self.ledger, self.waiting[:count])
        del self.waiting[:count]

    def look(self) -> None:
        """Seal what is done."""
        look(self.sealing)

    def finish(self, **options: Any) -> dict[str, bytes]:
        """Finish, and return the deterministic set."""
        self.ledger.close()
        finish(self.folder, self.store, tar_max_bytes=MAX_BYTES, **options)
        return deterministic_set(self.store / NAME)


def at_the_end(folder: Path, some: Sequence[Picture], **options: Any) -> dict[str, bytes]:
    """Return the deterministic set where all is sealed at the end."""
    add(folder / NAME, some)
    finish(folder / NAME, folder / "whole", tar_max_bytes=MAX_BYTES, **options)
    return deterministic_set(folder / "whole" / NAME)


@pytest.mark.parametrize("tar", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_whenever_a_day_is_sealed_its_tars_are_the_same(
    tmp_path: Path, seed: int, tar: bool
) -> None:
    chance = random.Random(seed)
    some = pictures(days=chance.randint(1, 4), a_day=chance.randint(1, 40), seed=seed)
    whole = at_the_end(tmp_path / "once", some, tar=tar)
    crawl = Crawl(tmp_path, some, tar=tar)
    if chance.random() < 0.5:
        chance.shuffle(crawl.waiting)
    while crawl.waiting:
        crawl.come(chance.randint(1, 20))
        if chance.random() < 0.6:
            crawl.look()
        if chance.random() < 0.2:
            crawl.begin()
    crawl.look()
    found = crawl.finish(tar=tar)
    assert sorted(found) == sorted(whole)
    assert [name for name in whole if found[name] != whole[name]] == []
    assert samples(crawl.store / NAME) == samples(tmp_path / "once" / "whole" / NAME)


MANY = [Picture(str(number), body=bytes([number]) * 3000) for number in range(10, 30)]


def test_a_part_closes_once_all_before_its_end_is_settled(tmp_path: Path) -> None:
    whole = at_the_end(tmp_path / "once", MANY)
    assert sum(name.endswith(".tar") for name in whole) > 3
    crawl = Crawl(tmp_path, MANY)
    first = crawl.waiting.pop(0)
    crawl.come(100)
    crawl.look()
    assert crawl.sealed == []
    crawl.waiting.append(first)
    missing = crawl.waiting  # the last one is wanted still, and all others are here
    crawl.come(100)
    crawl.ledger.images.unsettle([20], "lost")
    crawl.look()
    assert missing == []
    assert TAR in crawl.sealed
    assert len(crawl.sealed) == sum(name.endswith(".tar") for name in whole) - 1
    assert len(list(crawl.folder.glob("*/*/*.jpg"))) < 6
    crawl.waiting = [(20, MANY[19])]
    crawl.come(1)
    crawl.look()
    assert crawl.ledger.days.unsealed() == []
    assert crawl.finish() == whole


def test_failed_images_hold_back_their_day_until_they_are_accepted(tmp_path: Path) -> None:
    some = [*MANY, Picture("9", captured_at=NOON + DAY, body=b"next day")]
    failed = [replace(picture, state=State.UNSETTLED) for picture in some[5:6]]
    expected = [*some[:5], *failed, *some[6:]]
    crawl = Crawl(tmp_path, some)
    del crawl.waiting[5]
    crawl.come(100)
    crawl.ledger.queue.fail([FailedAttempt(6, "HTTP 500", 1.0)])
    crawl.look()
    assert "2024-01-16.tar" in crawl.sealed
    assert crawl.ledger.days.unsealed() == ["2024-01-15"]
    whole = at_the_end(tmp_path / "once", expected, accept_failed=True)
    assert crawl.finish(accept_failed=True) == whole


def test_what_may_be_wanted_again_holds_back_its_day(tmp_path: Path) -> None:
    some = [replace(MANY[0], state=State.GONE), *MANY[1:]]
    crawl = Crawl(tmp_path, some)
    crawl.ledger.gone.settle(1, Source.CDN)
    del crawl.waiting[0]
    crawl.come(100)
    crawl.look()
    assert crawl.sealed == []
    crawl.ledger.gone.prove(Source.CDN)
    crawl.look()
    assert crawl.ledger.days.unsealed() == []
    assert crawl.finish() == at_the_end(tmp_path / "once", some)


@pytest.mark.parametrize("missing", [0, 1])
def test_what_may_be_a_placeholder_is_left_to_the_finish(tmp_path: Path, missing: int) -> None:
    placeholder = Picture("1", body=b"PNG", extension="png", bare="other-format")
    some = [placeholder, *MANY]
    crawl = Crawl(tmp_path, some)
    crawl.come(len(some) - missing)
    crawl.look()
    assert crawl.sealed == []
    crawl.come(1)
    assert crawl.finish() == at_the_end(tmp_path / "once", some)


def test_lost_files_are_wanted_again_and_the_rest_of_the_day_waits(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, MANY)
    crawl.come(100)
    (crawl.folder / MANY[7].path).unlink()
    (crawl.folder / MANY[9].path).write_bytes(b"x" * 3000)
    crawl.look()
    assert {each.number for each in crawl.ledger.queue.draw(1.0, 99, by_day=True)} == {8, 10}
    crawl.waiting = [(8, MANY[7]), (10, MANY[9])]
    crawl.come(2)
    crawl.look()
    assert crawl.ledger.days.unsealed() == ["2024-01-15"]
    assert crawl.finish() == at_the_end(tmp_path / "once", MANY)


def test_the_files_that_a_kill_left_beside_their_tar_are_removed(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, MANY)
    crawl.come(15)
    shutil.copytree(crawl.folder / "2024-01-15", tmp_path / "before")
    crawl.look()
    assert TAR in crawl.sealed
    shutil.copytree(tmp_path / "before", crawl.folder / "2024-01-15", dirs_exist_ok=True)
    crawl.begin()
    crawl.look()
    left = {path.relative_to(crawl.folder).as_posix() for path in crawl.folder.glob("*/*/*.jpg")}
    assert left == {path for path in saved(MANY[:15]) if path in left}
    assert len(left) < 6
    crawl.come(100)
    assert crawl.finish() == at_the_end(tmp_path / "once", MANY)


@pytest.mark.slow
def test_a_kill_at_any_line_of_sealing_changes_nothing(tmp_path: Path) -> None:
    some = [*MANY, Picture("9", captured_at=NOON + DAY, body=b"next day")]
    crawl = Crawl(tmp_path / "template", some)
    later = [crawl.waiting.pop(17)]
    crawl.come(100)
    crawl.ledger.close()
    whole = at_the_end(tmp_path / "once", some)
    folder = tmp_path / "killed" / NAME

    def run() -> None:
        ledger = Ledger(folder / LEDGER_PATH)
        look(sealing_of(folder, ledger))
        ledger.close()

    def fresh() -> None:
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(crawl.folder, folder)

    fresh()
    lines, chance, rounds, kills = lines_of(run), random.Random(5), 12, 0
    assert len(list(folder.glob("*.tar"))) > 2
    for number in range(rounds):
        fresh()
        at = lines * number // rounds + chance.randrange(lines // rounds)
        while killed(run, at):
            kills += 1
            at = chance.randrange(lines)
        ledger = Ledger(folder / LEDGER_PATH)
        settle(folder, ledger, later)
        ledger.close()
        finish(folder, folder.parent / "store", tar_max_bytes=MAX_BYTES)
        assert deterministic_set(folder.parent / "store" / NAME) == whole
    assert kills >= rounds // 2


def test_names_that_meet_on_the_disk_are_left_to_the_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "keeps_case", lambda folder: False)
    some = [*MANY, Picture("a", captured_at=NOON + DAY)]
    crawl = Crawl(tmp_path, some)
    crawl.come(100)
    crawl.look()
    assert crawl.ledger.days.unsealed() == ["2024-01-16"]


def test_nothing_is_sealed_while_the_listing_is_open(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, MANY)
    crawl.ledger.listing.reopen()
    crawl.come(100)
    crawl.look()
    assert crawl.sealed == []


def test_the_first_tar_fixes_the_size_of_all(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, MANY)
    assert crawl.ledger.facts.get("tar_max_bytes") is None
    crawl.come(15)
    crawl.look()
    assert crawl.ledger.facts.get("tar_max_bytes") == MAX_BYTES


# In its thread, as a run has it


@pytest.fixture
def crawl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crawl:
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.01)
    crawl = Crawl(tmp_path, MANY)
    crawl.come(100)
    crawl.ledger.close()
    thread = LedgerThread(crawl.folder / LEDGER_PATH)
    crawl.sealing._collection.ledger = thread
    return crawl


def end(crawl: Crawl) -> list[str]:
    """End the sealing, and return the days that it has not sealed."""
    crawl.sealing.close()
    thread = crawl.sealing._collection.ledger
    unsealed = thread.wait_for(lambda ledger: ledger.days.unsealed())
    thread.close()
    return unsealed


def test_it_waits_for_the_part_in_hand(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    monkeypatch.setattr(seal, "read_back", after(begun.set, seal.read_back))
    crawl.sealing.start()
    assert begun.wait(30)
    assert crawl.sealing.busy
    assert end(crawl) == []
    assert not crawl.sealing.busy


def test_a_stop_gives_up_the_part_in_hand(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    crawl.sealing._stop = stopped.is_set
    monkeypatch.setattr(seal, "read_back", after(stopped.set, seal.read_back))
    crawl.sealing.start()
    assert stopped.wait(30)
    assert end(crawl) == ["2024-01-15"]
    assert not list(crawl.folder.glob("*.tar"))
    assert len(list(crawl.folder.glob("*/*/*.jpg"))) == len(MANY)


def test_trouble_ends_it_and_not_the_run(crawl: Crawl) -> None:
    (crawl.folder / TAR).write_bytes(b"mine")
    crawl.sealing.start()
    assert crawl.sealing._thread is not None
    crawl.sealing._thread.join(30)
    assert crawl.sealing.trouble
    assert TAR in crawl.sealing.trouble
    assert end(crawl) == ["2024-01-15"]


def test_without_room_it_waits(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NO_ROOM", 0.01)
    tried, room = threading.Event(), 2**62
    crawl.sealing._collection.configuration.min_free_bytes = room
    require = seal.require_space
    monkeypatch.setattr(seal, "require_space", after(tried.set, require))
    crawl.sealing.start()
    assert tried.wait(30)
    assert crawl.sealing.trouble is None
    assert not list(crawl.folder.glob("*.tar"))
    monkeypatch.setattr(seal, "require_space", lambda *_: None)
    until_idle(lambda: not list(crawl.folder.glob("*/*/*.jpg")))
    assert end(crawl) == []


def after(first: Callable[[], Any], work: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        first()
        return work(*arguments)

    return call


def until_idle(done: Callable[[], bool]) -> None:
    for _ in range(3000):
        if done():
            return
        threading.Event().wait(0.01)
    pytest.fail("it never came")
