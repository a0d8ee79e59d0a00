"""Tasks of a user whom several machines crawl: what each leaves on the folder of all."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from mapillary_crawler import __version__
from mapillary_crawler.archive.packages import copying
from mapillary_crawler.archive.packages.attempts import Attempts
from mapillary_crawler.archive.packages.handed_out import look
from mapillary_crawler.archive.slices.merging import merge_slices
from mapillary_crawler.archive.slices.reading import read_slices
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Slice, SliceState
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.workers import shared_work
from mapillary_crawler.workers.fence import Taken, Waits
from mapillary_crawler.workers.leases import shared_queue
from mapillary_crawler.workers.shared_work import SharedWork, Signs
from mapillary_crawler.workers.work import Work, following
from tests.archive.finish.made import ANN, add, deterministic_set, finish, made_in_one, pictures
from tests.archive.slices.cut import crawl_slice, cut_in_two_runs, merge_all
from tests.ledgers import fast_folder

NAME = ANN.name
SOME = pictures(days=4, a_day=6)
SIZE = 4
USER = Work("ann", {})


class Machine:
    """A machine whose crawls are stand-ins that work on real ledgers."""

    def __init__(self, staging: Path, shared: Path, version: str = __version__) -> None:
        self.said: list[str] = []
        self.shared = shared
        self.staging = staging
        staging.mkdir()
        self.tasks = SharedWork(shared, Attempts(staging), version, self.said.append)
        self.tasks.begin()
        self.stopped = self.lost = False
        #: Versions of all machines; None where the queue does not say.
        self.versions: set[str] | None = {version}
        #: Called when a crawl has ended; the code that it is to end with instead.
        self.then: Callable[[Path], int | None] = lambda staging: None
        self.crawled: list[Path] = []

    @property
    def whole(self) -> Path:
        return self.staging / NAME

    def do(self, work: Work) -> int:
        """Do a task; return its exit code."""

        async def crawl(staging: Path) -> int:
            self.crawled.append(staging)
            code = self._slice(staging, work) if work.is_slice else self._user(staging)
            other = self.then(staging)
            return code if other is None else other

        async def versions() -> set[str]:
            if self.versions is None:
                raise Taken
            return self.versions

        signs = Signs(stopped=lambda: self.stopped, lost=lambda: self.lost)
        return asyncio.run(self.tasks.run(work, crawl, signs, versions))

    def follow(self, work: Work) -> tuple[Work, ...]:
        """Do a task; return those that follow."""
        code = self.do(work)
        return following(work, code, self.tasks.slices(work)).works

    def _slice(self, staging: Path, work: Work) -> int:
        if not (staging / NAME).exists():
            return 0 if (self.shared / NAME).exists() else 2
        (part,) = (each for each in read_slices(staging / NAME) or [] if each.number == work.number)
        crawl_slice(staging / NAME, part, SOME, [SOME[20].image_id])
        return 0

    def _user(self, staging: Path) -> int:
        if (self.shared / NAME).exists():
            return 0
        slices = read_slices(staging / NAME) or []
        if any(part.state is SliceState.OPEN for part in slices):
            return 4
        merge_all(staging / NAME, SOME)
        finish(staging / NAME, self.shared)
        return 0


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as folder:
        (folder / "shared").mkdir()
        yield folder


@pytest.fixture
def machines(folder: Path) -> tuple[Machine, Machine]:
    """Return two of them; the first has cut a user."""
    one, other = (Machine(folder / name, folder / "shared") for name in ("one", "other"))
    cut_in_two_runs(one.whole, SOME, size=SIZE, saved=19)
    return one, other


def open_slices(machine: Machine) -> list[Slice]:
    handed = look(machine.tasks.root, NAME)
    return handed.open_ones if handed else []


def test_all_machines_crawl_the_slices_of_a_user(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    in_one = made_in_one(tmp_path, SOME)
    one, other = machines
    assert one.tasks.queue(USER.key) is None
    slices = one.follow(USER)
    assert len(slices) > 2
    assert one.tasks.queue(USER.key) == shared_queue(__version__)
    assert not list(one.staging.glob("mapillary-*"))
    assert other.follow(USER) == slices, "a queue that was lost is filled again"
    *before, last = [(one, other)[place % 2].follow(work) for place, work in enumerate(slices)]
    assert not any(before)
    assert last == (USER,)
    assert other.follow(USER) == ()
    assert deterministic_set(one.shared / NAME) == in_one
    assert not list(one.tasks.root.iterdir())
    assert one.do(slices[0]) == 0, "it is done"
    assert one.crawled[-1] == one.staging
    for machine in machines:
        machine.tasks.attempts.remove_left(machine.tasks.root)
        assert not list(machine.staging.glob("**/mapillary-*"))


def test_who_is_told_to_end_hands_on_what_it_has(machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    first, *_ = one.follow(USER)
    path = one.tasks.root / NAME / "0"

    def interrupt(staging: Path) -> int:
        with closing(Ledger(staging / f"{first.key}" / LEDGER_PATH)) as ledger:
            ledger.facts.set(slice_ended=None)  # it was in the middle of it
        one.stopped = True
        return 4

    one.then = interrupt
    assert one.do(first) == 4
    assert (path / f"open-{first.number}-1").is_dir()
    assert not (path / f"open-{first.number}-0").exists()
    other.follow(first)
    assert (path / f"ended-{first.number}").is_dir()


def test_what_a_dead_worker_has_left_is_handed_on_though_nothing_is_added(
    machines: tuple[Machine, Machine],
) -> None:
    one, _ = machines
    first, *_ = one.follow(USER)

    def die(staging: Path) -> None:
        with closing(Ledger(staging / first.key / LEDGER_PATH)) as ledger:
            ledger.facts.set(slice_ended=None)  # it was in the middle of it
        one.lost = True

    one.then = die
    one.do(first)
    one.then, one.lost = lambda staging: None, False
    one._slice = lambda staging, work: 7  # type: ignore[method-assign]
    assert one.do(first) == 7
    assert (one.tasks.root / NAME / "0" / f"open-{first.number}-1").is_dir()
    assert not list(one.tasks.attempts.folder.glob("mapillary-*"))


def test_what_has_changed_nothing_is_not_written_again(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    first, *_ = one.follow(USER)
    before = sorted(path.name for path in (one.tasks.root / NAME / "0").iterdir())
    one._slice = lambda staging, work: -9  # type: ignore[method-assign]
    assert one.do(first) == -9
    assert sorted(path.name for path in (one.tasks.root / NAME / "0").iterdir()) == before
    assert not list(one.tasks.attempts.folder.glob("mapillary-*"))


def test_who_has_lost_its_lock_leaves_all_as_it_was(machines: tuple[Machine, Machine]) -> None:
    one, other = machines

    def lose(_staging: Path) -> None:
        one.lost = True

    one.then = lose
    one.do(USER)
    assert look(one.tasks.root, NAME) is None
    assert one.whole.is_dir()
    one.then, one.lost = lambda staging: None, False
    first, *_ = one.follow(USER)
    one.then = lose
    one.do(first)
    assert first.number in {part.number for part in open_slices(one)}
    assert list(one.tasks.attempts.folder.glob("mapillary-*")), "to be gone on with"
    for part in open_slices(other):
        other.do(Work("ann", {}, part.number))
    one.lost = False
    one.do(USER)
    assert (one.shared / NAME).is_dir()
    assert look(one.tasks.root, NAME) is not None, "whoever has the lock now removes it"
    one.lost = False
    assert one.do(USER) == 0
    assert not list(one.tasks.root.iterdir())


def test_a_slice_that_waits_for_urls_brings_the_user_back(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    first, second, *_ = slices = one.follow(USER)

    def expired(staging: Path) -> int:
        with closing(Ledger(staging / first.key / LEDGER_PATH)) as ledger:
            ledger.facts.set(slice_ended=None)
            ledger.slices.set_wants_urls()
        return 4

    one.then = expired
    assert one.follow(first) == (USER,)
    one.then = lambda staging: None
    assert one.follow(second) == ()

    def renewed(staging: Path) -> int:
        with closing(Ledger(staging / NAME / LEDGER_PATH)) as ledger:
            ledger.slices.set_renewed()
        return 4

    other.then = renewed
    still_open = tuple(each for each in slices if each != second)
    assert other.follow(USER) == still_open
    other.then = lambda staging: None
    assert (one.tasks.root / NAME / "0/whole-1").is_dir()
    assert [other.follow(each) for each in still_open][-1] == (USER,)
    assert other.follow(USER) == ()
    assert (one.shared / NAME).is_dir()


def test_another_version_waits_for_a_machine_that_has_it(
    machines: tuple[Machine, Machine], folder: Path
) -> None:
    one, _ = machines
    first, *_ = one.follow(USER)
    newer = Machine(folder / "newer", folder / "shared", "99")
    newer.versions = {"99", __version__}
    for work in (first, first, USER):
        with pytest.raises(Waits) as caught:
            newer.do(work)
        assert caught.value.queue == shared_queue(__version__)
    assert len(newer.said) == 2
    assert f"cut by version {__version__}, this is 99" in newer.said[0]
    assert newer.crawled == []


def test_where_nobody_says_which_versions_there_are_nothing_is_taken_back(
    machines: tuple[Machine, Machine], folder: Path
) -> None:
    one, _ = machines
    first, *_ = one.follow(USER)
    newer = Machine(folder / "newer", folder / "shared", "99")
    newer.versions = None
    for work in (first, USER):
        with pytest.raises(Taken):
            newer.do(work)
    assert newer.crawled == []
    assert open_slices(one)


def test_slices_of_a_version_that_is_no_more_are_taken_back_and_cut_anew(
    machines: tuple[Machine, Machine], folder: Path
) -> None:
    one, _ = machines
    first, second, *_ = slices = one.follow(USER)
    one.do(second)
    newer = Machine(folder / "newer", folder / "shared", "99")
    assert newer.follow(first) == (USER,)

    def cut_anew(staging: Path) -> int:
        with closing(Ledger(staging / NAME / LEDGER_PATH)) as ledger:
            merge_slices(LedgerHere(ledger), staging / NAME, {staging})
            ledger.slices.cut(4, "99")
        return 4

    newer.then = cut_anew
    again = newer.follow(USER)
    newer.then = lambda staging: None
    assert not {work.key for work in again} & {work.key for work in slices}
    assert newer.tasks.queue(USER.key) == shared_queue("99")
    assert [path.name for path in (one.tasks.root / NAME).iterdir()] == ["1"]
    assert [newer.follow(work) for work in again][-1] == (USER,)
    assert newer.follow(USER) == ()
    assert (one.shared / NAME).is_dir()


def test_what_the_shared_folder_does_not_take_is_given_to_it_again(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = machines
    first, *_ = one.follow(USER)
    trouble = [OSError(errno.ENOSPC, "No space left"), OSError(errno.EIO, "Input/output error")]
    publish = shared_work.publish

    def publishing(*given: Any, **named: Any) -> bool:
        if trouble:
            raise trouble.pop()
        return publish(*given, **named)

    monkeypatch.setattr(shared_work, "publish", publishing)
    monkeypatch.setattr(shared_work, "_AGAIN", 0.01)
    one.follow(first)
    assert not trouble
    assert first.number not in {part.number for part in open_slices(one)}
    assert sum("tried again" in line for line in one.said) == 1


def test_a_disk_of_this_machine_that_is_broken_is_not_waited_for(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machines
    first, *_ = one.follow(USER)
    read = copying._chunks

    def broken(file: BinaryIO, path: Path, stop: Callable[[], bool]) -> Iterator[bytes]:
        if path.is_relative_to(one.staging):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(file, path, stop)

    async def waited(_seconds: float) -> None:
        pytest.fail("it waits for a disk that is no better later")

    monkeypatch.setattr(copying, "_chunks", broken)
    monkeypatch.setattr(asyncio, "sleep", waited)
    assert one.do(first) == 7
    assert "Input/output error" in one.said[-1]
    assert one.tasks.queue(first.key) == shared_queue(__version__), "another machine may"
    monkeypatch.undo()
    assert other.follow(first) == ()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left", "/there"), 6),
        (OSError(errno.EIO, "Input/output error", "/there"), 7),
    ],
)
def test_what_ends_a_task(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, error: OSError, code: int
) -> None:
    one, _ = machines

    def fail(*_given: Any, **_named: Any) -> bool:
        raise error

    monkeypatch.setattr(shared_work, "hand_out", fail)
    assert one.do(USER) == code
    assert one.tasks.queue(USER.key) is None, "it stays here"
    assert one.whole.is_dir()
    monkeypatch.undo()
    assert one.follow(USER)


def test_a_folder_that_is_damaged_is_told(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    one.follow(USER)
    (one.tasks.root / NAME / "0/cut.json").write_text("{}")
    assert one.do(USER) == 2
    assert "check the disk of the shared folder" in one.said[-1]


def test_a_user_who_is_not_cut_is_this_machine_s(folder: Path) -> None:
    one = Machine(folder / "one", folder / "shared")
    add(one.whole, SOME)
    assert one.follow(USER) == ()
    assert (one.shared / NAME).is_dir()


def test_a_shared_folder_that_is_not_mounted_is_waited_for(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machines
    first, second, *_ = one.follow(USER)
    disk = one.shared.with_name("disk")

    async def mounted(_seconds: float) -> None:
        one.shared.rmdir()
        disk.rename(one.shared)

    def unmounted(_staging: Path) -> None:
        one.shared.rename(disk)
        one.shared.mkdir()

    monkeypatch.setattr(asyncio, "sleep", mounted)
    one.then = unmounted
    one.follow(first)
    assert first.number not in {part.number for part in open_slices(one)}, "nothing was lost"
    assert any("tried again" in line for line in one.said)
    unmounted(one.staging)
    assert other.do(second) == 7
    assert other.crawled == [], "it is not taken for a user who was never handed out"
    assert other.tasks.queue(second.key) == shared_queue(__version__)


@pytest.mark.parametrize("arguments", [{"upload": "1", "remove": "1"}, {"update": "1"}])
def test_who_takes_all_slices_back_goes_on_with_what_is_here(
    machines: tuple[Machine, Machine], arguments: dict[str, str]
) -> None:
    """What was fetched since, or sent and removed, is known to this machine's ledger alone."""
    one, other = machines
    first, second, *_ = one.follow(USER)
    alone_here = Work("ann", arguments)
    codes = [7, 6, 4]

    def interrupted(staging: Path) -> int:
        (staging / "more").touch()
        return codes.pop()

    one._user = interrupted  # type: ignore[method-assign]
    for slice_of_others in (first, second, second):
        assert one.do(alone_here) in (4, 6, 7)
        assert one.tasks.queue(alone_here.key) is None, "it stays here"
        other.do(slice_of_others)
        one.tasks.attempts.remove_left(one.tasks.root)
        assert (one.crawled[-1] / "more").exists()
    assert len(set(one.crawled[-3:])) == 1

    def alone(staging: Path) -> int:
        merge_all(staging / NAME, SOME)
        finish(staging / NAME, one.shared)
        return 0

    one._user = alone  # type: ignore[method-assign]
    assert one.do(alone_here) == 0
    assert look(one.tasks.root, NAME) is None
    assert not list(one.tasks.attempts.folder.glob("mapillary-*"))
