"""Slices on a folder that machines share: whole or not there, by whoever was first."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.finish.errors import ReadBackFailed
from mapillary_crawler.archive.packages import names
from mapillary_crawler.archive.packages.errors import DamagedPackage, Moved
from mapillary_crawler.archive.packages.handed_out import HandedOut, look
from mapillary_crawler.archive.packages.made import next_open
from mapillary_crawler.archive.packages.names import Kind, Package, read_package
from mapillary_crawler.archive.packages.publishing import (
    forget,
    hand_out,
    may_be_handed_out,
    publish,
    withdraw,
)
from mapillary_crawler.archive.slices.making import make_slice
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Outcome, Refused, RunStopped
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SliceState
from tests.archive.finish.made import deterministic_set, made_in_one, pictures
from tests.archive.packages.machines import NAME, Machine, go_on, may
from tests.archive.slices.cut import crawl_slice, cut_in_two_runs
from tests.ledgers import fast_folder

SOME = pictures(days=4, a_day=6)
SIZE = 4
FAILING = (SOME[20].image_id, SOME[25].image_id)


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Return two of them; the first has a collection that is cut."""
    with fast_folder() as folder:
        shared = folder / "shared"
        one, other = (Machine(folder / name, shared, SOME, FAILING) for name in ("one", "other"))
        one.root.mkdir(parents=True)
        cut_in_two_runs(one.whole, SOME, size=SIZE, saved=19)
        yield one, other


def inside(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_two_machines_make_what_one_process_makes(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    in_one = made_in_one(tmp_path, SOME)
    one, other = machines
    handed = one.hand_out()
    assert len(handed.slices) > 2
    assert not list(one.staging.glob("mapillary-*")), "it is on the shared folder now"
    for part in reversed(handed.slices):
        assert (one if part.number % 2 else other).crawl(part)
    assert {part.state for part in one.look().slices} == {SliceState.ENDED}
    assert deterministic_set(other.finish()) == in_one
    assert list(one.root.iterdir()) == []
    assert not list(other.attempts.folder.glob("mapillary-*"))


def test_a_kill_while_what_is_handed_out_is_removed_leaves_nothing(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = machines
    clear, left = descent.clear, 1

    def killed(root: Path, below: str) -> None:
        nonlocal left
        if below == f".moved-{NAME}":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        clear(root, below)

    with monkeypatch.context() as context:
        context.setattr(descent, "clear", killed)
        with pytest.raises(KeyboardInterrupt):
            one.hand_out()
    assert list(one.staging.glob(".moved-*"))
    forget(one.whole, one.look())
    assert not list(one.staging.glob("*mapillary-*"))


def test_the_ledger_of_the_whole_comes_once_to_a_machine(
    machines: tuple[Machine, Machine],
) -> None:
    one, _ = machines
    handed = one.hand_out()
    with (
        one.attempts.of_slice(handed, handed.slices[0], go_on) as first,
        one.attempts.of_slice(handed, handed.slices[1], go_on) as second,
    ):
        assert (first / NAME / LEDGER_PATH).samefile(second / NAME / LEDGER_PATH)
    for part in handed.slices[:2]:
        one.attempts.done(handed, part)
    one.attempts.remove_left(one.root)
    assert inside(one.attempts.folder) == [".wholes"]


def test_what_a_worker_has_left_is_gone_on_with_until_others_are_further(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    handed = one.hand_out()
    part = handed.slices[0]
    with one.attempts.of_slice(handed, part, go_on) as staging:
        crawl_slice(staging / NAME, part, SOME)
        balance = balance_of(slice_folder(staging / NAME, part.number))
    one.attempts.remove_left(one.root)
    with one.attempts.of_slice(one.look(), part, go_on) as again:
        assert again == staging
        assert balance_of(slice_folder(again / NAME, part.number)) == balance
        assert other.crawl(part)
        one.attempts.remove_left(one.root)
        assert again.is_dir(), "a process holds it"
    one.attempts.remove_left(one.root)
    assert inside(one.attempts.folder) == [".wholes"]


def test_a_disk_without_links_is_one_as_well(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    one, other = machines
    handed = one.hand_out()
    monkeypatch.setattr(os, "link", no_links)
    assert all(other.crawl(part) for part in handed.slices)


def test_the_first_that_ends_a_slice_has_its_way(machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    handed = one.hand_out()
    part = handed.slices[0]
    with one.attempts.of_slice(handed, part, go_on) as staging:
        assert other.crawl(part)
        before = inside(one.root)
        crawl_slice(staging / NAME, part, SOME)
        folder = slice_folder(staging / NAME, part.number)
        assert not publish(folder, handed, Package(Kind.ENDED, part.number), stop=go_on, may=may)
    assert inside(one.root) == before


def test_who_comes_back_too_late_changes_nothing(machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    handed = one.hand_out()
    part = handed.slices[0]
    with one.attempts.of_slice(handed, part, go_on) as staging:
        for each in handed.slices:
            other.crawl(each)
        crawl_slice(staging / NAME, part, SOME)
        folder = slice_folder(staging / NAME, part.number)
        package = next_open(handed, part, waits=False)
        before = inside(one.root)
        assert not publish(folder, handed, package, stop=go_on, may=lambda: False)
        assert inside(one.root) == before
        assert publish(folder, handed, package, stop=go_on, may=may)
        assert part.number not in {each.number for each in one.look().open_ones}
        other.finish()
        assert not publish(folder, handed, package, stop=go_on, may=may)
        assert list(one.root.iterdir()) == []
    one.attempts.remove_left(one.root)
    with pytest.raises(Moved), one.attempts.of_slice(handed, part, go_on):
        pass


def test_a_slice_is_handed_on_with_what_it_has(machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    handed = one.hand_out()
    part = handed.slices[1]
    with one.attempts.of_slice(handed, part, go_on) as staging:
        crawl_slice(staging / NAME, part, SOME, FAILING)
        folder = slice_folder(staging / NAME, part.number)
        balance = balance_of(folder)
        assert balance.saved
        assert publish(folder, handed, next_open(handed, part, waits=False), stop=go_on, may=may)
    handed = other.look()
    assert handed.packages[part.number] == Package(Kind.OPEN, part.number, 1)
    assert f"open-{part.number}-0" not in {
        path.name for path in (one.root / handed.below).iterdir()
    }
    with other.attempts.of_slice(handed, part, go_on) as staging:
        assert balance_of(slice_folder(staging / NAME, part.number)) == balance


def balance_of(folder: Path) -> object:
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        return ledger.images.balance()


def test_a_slice_that_waits_for_urls_does_until_the_whole_has_new_ones(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    handed = one.hand_out()
    part = handed.slices[0]
    with one.attempts.of_slice(handed, part, go_on) as staging:
        crawl_slice(staging / NAME, part, SOME)
        folder = slice_folder(staging / NAME, part.number)
        assert publish(folder, handed, next_open(handed, part, waits=True), stop=go_on, may=may)
    handed = other.look()
    assert [each.number for each in handed.slices if each.wants_urls] == [part.number]
    with other.attempts.of_ledgers(handed, go_on) as staging:
        folders = sorted(path.name for path in staging.glob("mapillary-*"))
        assert folders == [NAME, slice_folder(staging / NAME, part.number).name]
        package = Package(Kind.WHOLE, version=1)
        assert publish(staging / NAME, handed, package, stop=go_on, may=may)
    handed = one.look()
    assert handed.whole == package
    assert not any(each.wants_urls for each in handed.slices)
    assert not (one.root / handed.below / "whole-0").exists()


def test_a_hand_out_that_is_stopped_leaves_all_here(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    before = inside(one.whole)
    with pytest.raises(RunStopped):
        hand_out(one.whole, one.root, stop=lambda: True, may=may)
    assert not hand_out(one.whole, one.root, stop=go_on, may=lambda: False)
    assert inside(one.root) == [NAME]
    assert look(one.root, NAME) is None
    lock = Lock({one.staging}, NAME)
    with pytest.raises(Refused):
        hand_out(one.whole, one.root, stop=go_on, may=may)
    lock.release()
    assert may_be_handed_out(one.whole, None)
    handed = one.hand_out()
    assert before
    assert not may_be_handed_out(one.whole, handed)


def test_what_is_handed_out_anew_takes_the_place_of_all_before(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    first = one.hand_out()
    cut_in_two_runs(one.whole, SOME, size=SIZE)  # begun anew by a machine that saw nothing of it
    assert may_be_handed_out(one.whole, first)
    forget(one.whole, first)
    assert one.whole.is_dir(), "it is of another cut"
    second = one.hand_out()
    assert second.generation == first.generation + 1
    assert [path.name for path in (one.root / NAME).iterdir()] == ["1"]
    assert not other.crawl(first.slices[0], second) or other.look().packages
    with pytest.raises(Moved), other.attempts.of_slice(first, first.slices[0], go_on):
        pass


def test_damage_on_the_shared_folder_is_told_and_nothing_is_made_of_it(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    handed = one.hand_out()
    some = next((one.root / handed.below).glob("*/files/*.tar"))
    package = some.parents[1]
    (part,) = (each for each in handed.slices if handed.packages[each.number].name == package.name)

    def taken() -> None:
        with other.attempts.of_slice(handed, part, go_on):
            pass

    good = some.read_bytes()
    some.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(DamagedPackage, match="is not what was written there"):
        taken()
    some.write_bytes(good + b"more")
    with pytest.raises(DamagedPackage, match="is not what was written there"):
        taken()
    some.unlink()
    with pytest.raises(DamagedPackage, match="has not all that it lists"):
        taken()
    some.symlink_to("/etc/passwd")
    with pytest.raises(NotFollowed):
        taken()
    some.unlink()
    some.write_bytes(good)
    sums = (package / names.SUMS).read_text()
    (package / names.SUMS).write_text('["../../../out", 0, ""]')
    with pytest.raises(NotFollowed):
        taken()
    for line in (
        "[]", "{", '["a", "b", "c"]', "[" * 10_000, '["a", 1, "zz"]', '["a", Infinity, ""]',
        '["a", -1, ""]', '["a", true, ""]', '["a\\u0000b", 0, ""]', '["\\ud800", 0, ""]',
        '[["a"], 0, ""]', '[null, 0, ""]', '["a", 0, 5]',
    ):  # fmt: skip
        (package / names.SUMS).write_text(line)
        with pytest.raises(DamagedPackage, match="no list of checksums"):
            taken()
    (package / names.SUMS).write_text(sums)
    taken()
    other.attempts.done(handed, part)
    shutil.rmtree(package)
    with pytest.raises(Moved):
        taken()
    with other.attempts.of_slice(other.look(), part, go_on) as staging:
        folder = slice_folder(staging / NAME, part.number)
        make_slice(staging / NAME, folder, part)  # begun anew, from the whole
        assert balance_of(folder)


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"version": 1, "cut": "a", "slices": []}', "[" * 10_000,
        '{"version": "1", "cut": "a", "slices": [["1", 1, "", ""]]}',
        '{"version": "1", "cut": "a", "slices": [[1, -1, "", ""]]}',
        '{"version": "1", "cut": "a", "slices": [[1, 1, "", "", "merged"], 3]}',
    ],
)  # fmt: skip
def test_into_what_it_is_cut_is_not_believed(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME / "0/whole-0").mkdir(parents=True)
    with pytest.raises(DamagedPackage):
        look(tmp_path, NAME)
    (tmp_path / NAME / "0/cut.json").write_text(content)
    with pytest.raises(DamagedPackage):
        look(tmp_path, NAME)


def test_a_tar_that_is_not_what_the_ledger_says_is_not_handed_on(
    machines: tuple[Machine, Machine],
) -> None:
    one, _ = machines
    tar = next(one.whole.glob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    with pytest.raises(ReadBackFailed):
        one.hand_out()
    assert look(one.root, NAME) is None
    assert inside(one.root) == [NAME]


def test_what_has_no_room_here_is_not_begun(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machines
    handed = one.hand_out()

    class Usage(NamedTuple):
        total: int = 10**9
        used: int = 0
        free: int = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage())
    with pytest.raises(OSError, match="no space for all of") as caught:
        other.finish()
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="no space for"):
        other.crawl(handed.slices[0])
    assert not list(other.attempts.folder.rglob("*.tar"))
    monkeypatch.undo()
    with pytest.raises(RunStopped), other.attempts.of_whole(handed, lambda: True):
        pass
    other.attempts.remove_left(other.root)
    with other.attempts.of_whole(handed, go_on) as staging:
        (staging / "more").touch()
    other.attempts.remove_left(other.root)
    with other.attempts.of_whole(handed, go_on) as staging:
        assert (staging / "more").exists(), "it is gone on with"
    one.crawl(handed.slices[0])
    other.attempts.remove_left(other.root)
    assert not staging.exists(), "its packages are others now"


def test_what_a_process_reads_or_crawls_is_not_packed(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    handed = one.hand_out()
    part = handed.slices[0]
    with one.attempts.of_slice(handed, part, go_on) as staging:
        crawl_slice(staging / NAME, part, SOME)
        folder = slice_folder(staging / NAME, part.number)
        with closing(Ledger(folder / LEDGER_PATH)) as ledger:
            ledger.facts.set(runs=1)
            package = Package(Kind.ENDED, part.number)
            with pytest.raises(Refused) as caught:
                publish(folder, handed, package, stop=go_on, may=may)
        assert caught.value.outcome is Outcome.LOCKED
        assert publish(folder, handed, package, stop=go_on, may=may)


def test_a_folder_that_is_not_mounted_is_not_one_without_packages(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    disk = one.shared.rename(one.shared.with_name("disk"))
    one.shared.mkdir()
    with pytest.raises(FileNotFoundError):
        one.hand_out()
    assert one.whole.is_dir()
    assert inside(one.shared) == [], "nothing is written where it is to be mounted"
    one.shared.rmdir()
    disk.rename(one.shared)
    handed = one.hand_out()
    part = handed.slices[0]
    with other.attempts.of_slice(handed, part, go_on) as staging:
        crawl_slice(staging / NAME, part, SOME)
        folder = slice_folder(staging / NAME, part.number)
        one.shared.rename(disk)
        one.shared.mkdir()
        with pytest.raises(FileNotFoundError):
            look(one.root, NAME)
        with pytest.raises(FileNotFoundError):
            publish(folder, handed, Package(Kind.ENDED, part.number), stop=go_on, may=may)
    other.attempts.remove_left(other.root)
    assert folder.is_dir(), "it is the only place that has what was crawled"
    one.shared.rmdir()
    disk.rename(one.shared)
    assert publish(folder, handed, Package(Kind.ENDED, part.number), stop=go_on, may=may)


def test_a_collection_that_was_never_handed_out_is_none(tmp_path: Path) -> None:
    assert look(tmp_path, NAME) is None
    (tmp_path / NAME).mkdir()
    assert look(tmp_path, NAME) is None
    withdraw(tmp_path, "mapillary-other-256")
    withdraw(tmp_path, NAME)
    assert list(tmp_path.iterdir()) == []


_NUMBERS = st.integers(0, 10**9 - 1)


@given(
    st.builds(Package, st.just(Kind.OPEN), _NUMBERS, _NUMBERS, st.none() | _NUMBERS)
    | st.builds(Package, st.just(Kind.ENDED), _NUMBERS)
    | st.builds(lambda version: Package(Kind.WHOLE, version=version), _NUMBERS)
)
def test_a_name_says_all_of_it(package: Package) -> None:
    assert read_package(package.name) == package


@given(st.text() | st.from_regex(r"(open|ended|whole)-[0-9-]*[a-z]*", fullmatch=True))
def test_other_names_are_none(name: str) -> None:
    package = read_package(name)
    assert package is None or package.name == name


def test_packages_are_told_from_those_before(tmp_path: Path) -> None:
    (tmp_path / NAME / "0/whole-0").mkdir(parents=True)
    cut = {"version": "1", "cut": "a", "slices": [[1, 5, "2024-01-01", "2024-01-02"]]}
    (tmp_path / NAME / "0/cut.json").write_text(json.dumps(cut))

    def seen() -> HandedOut:
        handed = look(tmp_path, NAME)
        assert handed is not None
        return handed

    marks = [seen().mark]
    for name in ("open-1-0", "open-1-2", "ended-1", "ended-99", "open-2", ".writing-1"):
        (tmp_path / NAME / "0" / name).mkdir()
        marks.append(seen().mark)
    assert len(set(marks[:4])) == 4
    assert len(set(marks[3:])) == 1, "what is of no slice is not looked at"
    assert seen().packages == {1: Package(Kind.ENDED, 1)}
