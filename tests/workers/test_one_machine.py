"""Crawls that fail, are cut, crash or are stopped, as tasks in memory."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mapillary_crawler.ledger.records import Slice, SliceState
from mapillary_crawler.workers import one_machine, verdict
from mapillary_crawler.workers.one_machine import Crawls
from mapillary_crawler.workers.work import Work


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def users(*names: str) -> dict[str, dict[str, str]]:
    return {name: {} for name in names}


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_goes_on_when_one_fails(jobs: int, capfd: pytest.CaptureFixture[str]) -> None:
    codes = {"a": "exit(3)", "b": "print('hello')", "c": "import os; os.kill(os.getpid(), 9)"}
    crawls = Crawls(users(*codes), jobs, lambda work: python(codes[work.username]))
    assert crawls.run_all() == {"a": 3, "b": 0, "c": -9}
    written = capfd.readouterr()
    assert "hello\n" in written.out if jobs == 1 else "[b] hello\n" in written.err


def test_never_more_at_once_and_in_order() -> None:
    seen: list[int] = []
    queued: list[int] = []
    begun: list[str] = []

    def watch(running: Sequence[Work]) -> None:
        seen.append(len(running))
        queued.append(len(crawls._queue.jobs))

    sleep = python("import time; time.sleep(.3)")
    names = [f"u{number}" for number in range(7)]
    crawls = Crawls(users(*names), 2, lambda _: sleep, watch, starts=begun.append)
    crawls.run_all()
    assert max(seen) == 2
    assert max(queued) <= 4
    assert begun == names


def test_who_needs_no_crawl_is_started_none(tmp_path: Path) -> None:
    ends: list[tuple[str, int]] = []
    crawls = Crawls(users("a", "b", "c"), 2, lambda _: python(""), again=True)
    crawls.settled = lambda name: None if name == "b" else 0
    starts: list[str] = []
    crawls.starts, crawls.ends = starts.append, lambda name, code: ends.append((name, code))
    assert crawls.run_all() == {"a": 0, "b": 0, "c": 0}
    assert starts == ["b"]
    assert sorted(ends) == [("a", 0), ("b", 0), ("c", 0)]


@pytest.mark.timeout(60)
def test_nobody_waits_for_who_needs_no_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    """However seldom it looks around: thousands of users may be archived before."""
    monkeypatch.setattr(one_machine, "_LOOK", 3600)
    crawls = Crawls(users(*map(str, range(300))), 1, lambda _: python(""), settled=lambda _: 0)
    assert len(crawls.run_all()) == 300


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_only_uploads_holds_no_place(jobs: int) -> None:
    """The next begin, as many as there are jobs; more wait until an upload has ended."""
    most: dict[int, int] = {}

    def watch(running: Sequence[Work]) -> None:
        crawling = sum(not is_uploading(work.username) for work in running)
        most[crawling] = max(most.get(crawling, 0), len(running))

    began: dict[str, float] = {}

    def is_uploading(name: str) -> bool:
        return time.monotonic() - began[name] > 0.5

    def start(name: str) -> None:
        began[name] = time.monotonic()

    sleep = python("import time; time.sleep(2.5)")
    names = [str(number) for number in range(5)]
    crawls = Crawls(users(*names), jobs, lambda _: sleep, watch, starts=start, uploads=is_uploading)
    assert crawls.run_all() == dict.fromkeys(names, 0)
    assert max(most.values()) == 2 * jobs
    assert max(most) <= jobs


def test_output_of_crawls_that_may_meet_is_told_apart(capfd: pytest.CaptureFixture[str]) -> None:
    crawls = Crawls(users("a"), 1, lambda _: python("print('hello')"), uploads=lambda _: False)
    crawls.run_all()
    assert "[a] hello\n" in capfd.readouterr().err


#: A loop in bytecode: one in C hears nothing of a signal that comes between two of its sleeps.
_BEGUN = (
    "import signal, sys, time, pathlib\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
    "pathlib.Path(*sys.argv[1:]).touch()\n"
    "while True: time.sleep(0.05)\n"
)


def test_signal_reaches_all_and_nobody_else_starts(tmp_path: Path) -> None:
    crawls = Crawls(
        users("a", "b", "c"), 2, lambda work: python(_BEGUN, str(tmp_path), work.username)
    )

    def stop(running: Sequence[Work]) -> None:
        if len(list(tmp_path.iterdir())) == 2 and not crawls.stopped:
            os.kill(os.getpid(), signal.SIGTERM)

    crawls.watch = stop
    before = signal.getsignal(signal.SIGTERM)
    assert crawls.run_all() == {"a": 4, "b": 4}
    assert signal.getsignal(signal.SIGTERM) == before
    assert threading.active_count() < 10


def test_what_cannot_be_started_is_an_error_and_ends_the_others(tmp_path: Path) -> None:
    def command(work: Work) -> list[str]:
        if work.username == "b":
            raise OSError("no more processes")
        return python(_BEGUN, str(tmp_path), work.username)

    crawls = Crawls(users("a", "b"), 2, command)
    with pytest.raises(OSError, match="no more processes"):
        crawls.run_all()


@dataclass
class Collection:
    """A user who is cut into slices by the first crawl; `codes` are those of the slices' crawls."""

    codes: dict[int, list[int]]
    states: dict[int, Slice] = field(default_factory=dict)
    crawled: list[str] = field(default_factory=list)

    def command(self, work: Work) -> list[str]:
        self.crawled.append(work.title)
        if work.number is not None:
            code = self.codes[work.number][0]
        elif not self.states:
            self.states = {number: Slice(number, 9, "", "") for number in self.codes}
            code = 4
        else:
            code = 4 if any(each.state is SliceState.OPEN for each in self.states.values()) else 0
        return python(
            f"import os, sys; n = {code}; os.kill(os.getpid(), -n) if n < 0 else sys.exit(n)"
        )

    def slices(self, work: Work) -> list[Slice] | None:
        """Look, once a crawl has ended."""
        if work.number is not None and self.codes[work.number].pop(0) in (0, 3):
            ended = replace(self.states[work.number], state=SliceState.ENDED)
            self.states[work.number] = ended
        return list(self.states.values()) or None


def crawled(collection: Collection, jobs: int = 2, **options: object) -> dict[str, int]:
    crawls = Crawls(users("a"), jobs, collection.command, find_slices=collection.slices, **options)  # type: ignore[arg-type]
    return dict(crawls.run_all())


def test_a_user_who_is_cut_is_crawled_slice_by_slice_and_merged() -> None:
    collection = Collection({1: [0], 2: [3], 3: [0], 4: [0]})
    assert crawled(collection) == {"a": 0}
    assert collection.crawled[0] == collection.crawled[-1] == "a"
    assert sorted(collection.crawled[1:-1]) == ["a#1", "a#2", "a#3", "a#4"]


def test_a_slice_whose_urls_have_expired_is_gone_on_with_once_they_are_renewed() -> None:
    """Slices that wait would be started in vain, so the user's own task comes first."""
    collection = Collection({number: [0] for number in range(1, 8)})
    collection.codes[1] = [4, 0]
    command, slices = collection.command, collection.slices

    def renews(work: Work) -> list[str]:
        if work.number is None:
            found = {each.number: replace(each, wants_urls=False) for each in slices(work) or ()}
            collection.states.update(found)
        return command(work)

    def wants(work: Work) -> list[Slice] | None:
        found = slices(work) or []
        if work.number == 1 and found[0].state is SliceState.OPEN:
            collection.states[1] = replace(collection.states[1], wants_urls=True)
        return list(collection.states.values()) or None

    crawls = Crawls(users("a"), 1, renews, find_slices=wants)
    assert crawls.run_all() == {"a": 0}
    assert collection.crawled[:3] == ["a", "a#1", "a"]
    assert sorted(collection.crawled[3:-1]) == [f"a#{number}" for number in range(1, 8)]
    assert collection.crawled[-1] == "a"


def uploaded(
    collection: Collection, command: Callable[[Work], list[str]] | None = None, **given: str
) -> dict[str, int]:
    crawls = Crawls(
        {"a": {"upload": "1", **given}}, 2, command or collection.command, again=True,
        find_slices=collection.slices,
    )  # fmt: skip
    return dict(crawls.run_all())


def test_the_user_s_own_task_sends_what_each_slice_has_ended_with() -> None:
    collection = Collection({1: [0], 2: [3], 3: [0]})
    assert uploaded(collection) == {"a": 0}
    for number in (1, 2, 3):
        assert collection.crawled.count(f"a#{number}") == 1
        assert "a" in collection.crawled[collection.crawled.index(f"a#{number}") :]
    assert collection.crawled.count("a") >= 3


def test_a_slice_that_is_being_crawled_waits_in_the_queue_no_second_time() -> None:
    collection = Collection({1: [0], 2: [0]})

    def command(work: Work) -> list[str]:
        own = collection.command(work)
        sleeps = python("import time; time.sleep(1.5)")
        return sleeps if work.number == 2 else own

    assert uploaded(collection, command) == {"a": 0}
    assert collection.crawled.count("a#2") == 1


def test_a_slice_goes_on_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mapillary_crawler.workers.work._ROOM", 0.1)
    collection = Collection({1: [0], 2: [6, 6, 0], 3: [0]})
    assert uploaded(collection, remove="1") == {"a": 0}
    assert collection.crawled.count("a#2") == 3
    assert collection.crawled[-1] == "a"


@pytest.mark.parametrize("removes", [False, True])
def test_a_slice_that_dies_thrice_is_left_alone_where_others_bring_the_user_back(
    monkeypatch: pytest.MonkeyPatch, *, removes: bool
) -> None:
    monkeypatch.setattr(verdict, "_CRASHED", 0.05)
    collection = Collection({1: [-9, -9, -9], 2: [0], 3: [0], 4: [0]})
    assert uploaded(collection, remove=f"{removes:d}") == {"a": -9}
    assert collection.crawled.count("a#1") == 3


def test_what_the_user_s_own_task_ends_with_last_is_it() -> None:
    collection = Collection({1: [0], 2: [0]})
    wholes = iter([4, 6, 0, 0])

    def command(work: Work) -> list[str]:
        own = collection.command(work)
        if work.is_slice:
            return python(f"import time; time.sleep({work.number})")
        return python(f"exit({next(wholes)})") if collection.crawled.count("a") > 1 else own

    next(wholes)
    assert uploaded(collection, command, remove="1") == {"a": 0}


def test_a_slice_that_dies_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_CRASHED", 0.05)
    collection = Collection({1: [-9, 1, 0], 2: [0]})
    assert crawled(collection, again=True) == {"a": 0}
    assert collection.crawled.count("a#1") == 3
    assert collection.crawled[-1] == "a"


def test_a_slice_that_dies_thrice_is_the_users_end_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdict, "_CRASHED", 0.05)
    collection = Collection({1: [-9, -9, -9], 2: [0], 3: [0], 4: [0]})
    assert crawled(collection, again=True) == {"a": -9}
    assert sorted(set(collection.crawled)) == ["a", "a#1", "a#2", "a#3", "a#4"]
    assert collection.crawled.count("a") == 1


@pytest.mark.parametrize("code", [2, 5, 6, 7, 9])
def test_what_meets_all_slices_ends_the_user(code: int) -> None:
    collection = Collection({1: [code], 2: [code], 3: [0], 4: [0], 5: [0]})
    assert crawled(collection, again=True) == {"a": code}
    assert len(collection.crawled) < 6


def test_slices_of_one_user_go_before_the_listing_of_a_later_one() -> None:
    collection = Collection({number: [0] for number in range(1, 7)})
    order: list[str] = []

    def command(work: Work) -> list[str]:
        order.append(work.title)
        sleeps = python("import time; time.sleep(.4)")
        return collection.command(work) if work.username == "a" else sleeps

    names = users("a", *"bcdefgh")
    crawls = Crawls(
        names,
        2,
        command,
        find_slices=lambda work: collection.slices(work) if work.username == "a" else None,
    )
    assert set(crawls.run_all().values()) == {0}
    assert order.index("a#6") < order.index("d")
    assert order[-1] == "h"
