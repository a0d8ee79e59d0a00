"""Cut, crawled and merged: the same collection, and each step once, whatever ends it."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish.errors import NotSettled
from mapillary_crawler.archive.slices import merging
from mapillary_crawler.archive.slices.making import make_slice
from mapillary_crawler.archive.slices.merging import merge_ended, merge_slices
from mapillary_crawler.archive.slices.reading import Held, held, own_tars, read_slices
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, Slice, SliceMismatch, SliceState, State
from mapillary_crawler.ledger.slices import Slices
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import ANN, deterministic_set, finish, made_in_one, pictures
from tests.archive.slices.cut import crawl_slice, cut_in_two_runs, merge_all
from tests.ledger.killed import kill_writer
from tests.ledgers import fast_folder, row

SOME = pictures(days=4, a_day=6)
SIZE = 7
FAILING = (SOME[13].image_id, SOME[20].image_id)


@pytest.fixture(scope="module")
def in_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what one process makes of the images."""
    return made_in_one(tmp_path_factory.mktemp("one"), SOME)


@pytest.fixture
def whole() -> Iterator[Path]:
    """Return where a collection is worked on."""
    with fast_folder() as folder:
        yield folder / "staging" / ANN.name


def finished(whole: Path) -> dict[str, bytes]:
    assert not list(whole.parent.glob("*#*"))
    return deterministic_set(finish(whole, whole.parent.parent / "store").destination)


def merge(whole: Path) -> int:
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        return merge_slices(LedgerHere(ledger), whole, {whole.parent})


def test_it_is_what_one_process_makes(whole: Path, in_one: dict[str, bytes]) -> None:
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    assert len(slices) > 2
    for part in reversed(slices):
        crawl_slice(whole, part, SOME, FAILING)
    assert [part.state for part in read_slices(whole) or []] == [SliceState.ENDED] * len(slices)
    assert merge_all(whole, SOME) == len(slices)
    assert [part.state for part in read_slices(whole) or []] == [SliceState.MERGED] * len(slices)
    assert merge_all(whole, SOME) == 0
    assert finished(whole) == in_one
    assert read_slices(whole.parent.parent / "store" / ANN.name) is None


def test_what_a_killed_writer_has_begun_is_in_nobody_s_way(
    whole: Path, in_one: dict[str, bytes]
) -> None:
    for part in cut_in_two_runs(whole, SOME, size=SIZE, saved=0):
        kill_writer(whole / LEDGER_PATH, "journal")
        crawl_slice(whole, part, SOME)
        kill_writer(slice_folder(whole, part.number) / LEDGER_PATH, "journal")
    assert merge(whole) > 1
    assert finished(whole) == in_one


def test_what_failed_is_unsettled_in_the_whole(whole: Path) -> None:
    for part in cut_in_two_runs(whole, SOME, size=SIZE):
        crawl_slice(whole, part, SOME, FAILING)
    merge(whole)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        failures = list(ledger.images.failures())
        assert {(image_id, error) for image_id, error, _ in failures} == {
            (image_id, "HTTP 503") for image_id in FAILING
        }
        kept, counted = ledger.survey.kept(), ledger.survey.recount()
        assert {state: of for state, of in kept.items() if of[0]} == counted
        assert ledger.images.balance().listed == len(SOME)


def test_a_slice_knows_images_that_the_whole_has(whole: Path) -> None:
    """Or nothing would tell an outage from images that are gone."""
    part = cut_in_two_runs(whole, SOME, size=SIZE)[-1]
    make_slice(whole, slice_folder(whole, part.number), part)
    with closing(Ledger(slice_folder(whole, part.number) / LEDGER_PATH)) as ledger:
        assert ledger.images.balance().saved == 0
        assert ledger.slices.witnesses
        assert set(ledger.slices.witnesses) <= {each.image_id for each in SOME[:8]}


def gather(whole: Path) -> int:
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        return merge_ended(LedgerHere(ledger), whole, {whole.parent})


def test_what_has_ended_is_merged_while_others_are_crawled(
    whole: Path, in_one: dict[str, bytes]
) -> None:
    """One is made, and worked on; one not even begun."""
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    crawl_slice(whole, slices[1], SOME, FAILING)
    make_slice(whole, slice_folder(whole, slices[0].number), slices[0])
    lock = Lock({whole.parent}, slice_folder(whole, slices[0].number).name)
    assert gather(whole) == 1
    assert gather(whole) == 0
    states = [part.state for part in read_slices(whole) or []]
    assert states[:2] == [SliceState.OPEN, SliceState.MERGED]
    assert set(states[2:]) == {SliceState.OPEN}
    with closing(Ledger(whole / LEDGER_PATH, read_only=True)) as ledger:
        own = own_tars(ledger)
        assert own
        assert {slices[1].first_day <= str(each.day) <= slices[1].last_day for each in own} == {
            True
        }
        assert all((whole / each.name).is_file() for each in own)
    lock.release()
    for part in (slices[0], *slices[2:]):
        crawl_slice(whole, part, SOME)
        gather(whole)
    assert merge_all(whole, SOME) == 0
    assert finished(whole) == in_one


def test_a_tar_of_a_day_that_a_slice_may_have_is_not_the_whole_s(whole: Path) -> None:
    """Made before the cut, it is with the slice, or is to be moved there."""
    first, *_ = cut_in_two_runs(whole, SOME, size=SIZE)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.pieces.start_tar(f"{first.last_day}.tar", first.last_day, 0)
        assert not own_tars(ledger)
        ledger.slices.set_merged(first.number, has_ended=True)
        assert len(own_tars(ledger)) == 1


def test_one_that_is_about_to_end_is_waited_for(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (part, *_) = cut_in_two_runs(whole, SOME, size=SIZE)
    crawl_slice(whole, part, SOME)
    lock = Lock({whole.parent}, slice_folder(whole, part.number).name)
    threading.Timer(0.3, lock.release).start()
    assert gather(whole) == 1
    monkeypatch.setattr(merging, "_PATIENCE", 0.2)
    (_, part, *_) = cut_and_left(whole)
    crawl_slice(whole, part, SOME)
    lock = Lock({whole.parent}, slice_folder(whole, part.number).name)
    with pytest.raises(Refused):
        gather(whole)
    lock.release()


def cut_and_left(whole: Path) -> list[Slice]:
    with closing(Ledger(whole / LEDGER_PATH, read_only=True)) as ledger:
        return ledger.slices.all()


def test_the_room_counts_what_lies_with_slices(whole: Path) -> None:
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    sizes = [len(each.body) for each in SOME]

    def now() -> Held:
        with closing(Ledger(whole / LEDGER_PATH, read_only=True)) as ledger:
            return held(whole, ledger)

    before = now()
    assert (before.size, before.saved) == (sum(sizes[:8]), 8)
    assert before.missing == {part.number: part.images for part in slices}
    crawl_slice(whole, slices[-1], SOME)
    after = now()
    assert after.saved > before.saved
    assert after.size == after.saved_bytes > before.size
    assert set(after.missing) == set(before.missing) - {slices[-1].number}
    gather(whole)
    assert now() == after
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        (first, *_) = own_tars(ledger)
        ledger.pieces.set_state(first.name, PieceState.REMOVED, "item")
    assert now().size < after.size
    assert now().saved == after.saved


def test_open_slices_come_back_as_they_are(whole: Path, in_one: dict[str, bytes]) -> None:
    """One has ended, one was begun, the others were not: the rest may be cut anew."""
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    crawl_slice(whole, slices[1], SOME)
    make_slice(whole, slice_folder(whole, slices[2].number), slices[2])
    merge(whole)
    assert read_slices(whole) is None
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        assert ledger.slices.may_be_cut(SIZE)
        ledger.slices.cut(SIZE, "0")
        again = ledger.slices.all()
        assert again[0].number == slices[-1].number + 1
        assert ledger.slices.find(1) == replace(slices[0], state=SliceState.MERGED)
    for part in again:
        crawl_slice(whole, part, SOME)
    merge_all(whole, SOME)
    assert finished(whole) == in_one


@pytest.mark.parametrize("step", ["forget_cut", "ensure_sum"])
def test_a_cut_is_forgotten_by_the_next_start_where_the_first_was_killed(
    whole: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """All rows are the whole's then, and no slice is left to say that it had not ended."""
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    crawl_slice(whole, slices[1], SOME)

    def killed(_: Slices) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Slices, step, killed)
        with pytest.raises(Killed):
            merge(whole)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        assert not ledger.slices.unmerged()
        assert not ledger.slices.may_be_cut(SIZE)
    assert merge(whole) == 0
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        assert ledger.slices.may_be_cut(SIZE)


def test_a_body_that_came_for_images_of_two_slices_is_nobodys(whole: Path) -> None:
    first, *_, last = cut_in_two_runs(whole, SOME, size=SIZE)
    png = b"PNG"
    some = [
        replace(picture, body=png, extension="png", bare="other-format", state=State.SAVED)
        if place in (9, len(SOME) - 1)
        else picture
        for place, picture in enumerate(SOME)
    ]
    for part in (first, last):
        crawl_slice(whole, part, some)
        path = slice_folder(whole, part.number) / LEDGER_PATH
        with closing(Ledger(path)) as ledger:
            number, sha256 = ledger.database.execute(
                "SELECT number, sha256_served FROM images WHERE sha256_stored = ?",
                (hashlib.sha256(png).digest(),),
            ).fetchone()
            assert not ledger.other_formats.came(number, sha256)
    merge(whole)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        errors = Counter(error for _, error, _ in ledger.images.failures())
    assert errors["the same body came for another image as well: a placeholder"] == 2
    assert not list(whole.rglob("*.png"))


def test_nothing_is_finished_that_is_not_merged(whole: Path) -> None:
    """Not even where the rest could be: each day of these is settled, in its slice or before."""
    everything = len(SOME)
    parts = cut_in_two_runs(whole, SOME, size=SIZE)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.settle(list(range(1, everything + 1)), State.GONE)
    with pytest.raises(NotSettled, match="not merged"):
        finish(whole, whole.parent.parent / "store")
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        for part in parts:
            ledger.slices.set_merged(part.number, has_ended=True)
        ledger.database.execute("UPDATE slices SET images = images + 1 WHERE number = 1")
    with pytest.raises(SliceMismatch, match="the slices have"):
        finish(whole, whole.parent.parent / "store")


def test_a_slice_that_is_crawled_is_left_alone(whole: Path) -> None:
    part = cut_in_two_runs(whole, SOME, size=SIZE)[1]
    lock = Lock({whole.parent}, slice_folder(whole, part.number).name)
    with pytest.raises(Refused) as refused:
        merge(whole)
    lock.release()
    assert refused.value.outcome is Outcome.LOCKED


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE facts SET value = json_set(value, '$.id', 'another') WHERE name = 'slice_of'",
        "UPDATE facts SET value = json_set(value, '$.version', '0') WHERE name = 'slice_of'",
        "DELETE FROM facts WHERE name = 'slice_of'",
        "DELETE FROM images WHERE number = (SELECT max(number) FROM images)",
        "UPDATE images SET id = 'x' WHERE number = (SELECT max(number) FROM images)",
    ],
)
def test_another_ledger_is_refused(whole: Path, change: str) -> None:
    parts = cut_in_two_runs(whole, SOME, size=SIZE)
    for part in parts:
        crawl_slice(whole, part, SOME)
    with closing(Ledger(slice_folder(whole, 1) / LEDGER_PATH)) as ledger:
        ledger.database.execute(change)
    with pytest.raises(SliceMismatch, match=r"slice 1"):
        merge(whole)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        assert ledger.slices.unmerged() == parts


def test_a_file_in_the_way_is_named_and_stays(whole: Path) -> None:
    for part in cut_in_two_runs(whole, SOME, size=SIZE):
        crawl_slice(whole, part, SOME)
    tar = next(slice_folder(whole, 2).glob("*.tar")).name
    (whole / tar).write_bytes(b"mine")
    with pytest.raises(Refused, match="in the way"):
        merge(whole)
    assert (whole / tar).read_bytes() == b"mine"
    assert (slice_folder(whole, 2) / tar).is_file()


def test_renewed_urls_are_taken_by_all_slices(whole: Path) -> None:
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    waiting = slice_folder(whole, slices[1].number)
    make_slice(whole, waiting, slices[1])
    with closing(Ledger(waiting / LEDGER_PATH)) as ledger:
        ids = [image_id for image_id, *_ in ledger.images.failures()]
        ledger.settle([ledger.listing.known(ids)[ids[0]].number], State.GONE)
        ledger.slices.set_wants_urls()
    assert [part.wants_urls for part in read_slices(whole) or []].count(True) == 1
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.listing.renew([row(image_id, expires=2**40) for image_id in ids])
        ledger.slices.set_renewed()
    assert not any(part.wants_urls for part in read_slices(whole) or [])
    make_slice(whole, waiting, slices[1])
    with closing(Ledger(waiting / LEDGER_PATH)) as ledger:
        assert not ledger.slices.wants_urls
        urls = ledger.database.execute("SELECT url, expires FROM unsettled").fetchall()
    assert sorted(urls) == sorted((row(image_id).url, 2**40) for image_id in ids[1:])


class Killed(BaseException):
    """The process is no more."""


class Steps:
    """Counts what changes files and ledgers, and ends the process before one of these."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.done = 0
        for owner, name in (
            (os, "rename"), (os, "rmdir"), (os, "unlink"), (os, "mkdir"), (os, "fsync"),
            (Database, "execute"), (Database, "executemany"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self.done += 1
            self.left -= 1
            if self.left == 0:
                raise Killed
            return call(*given, **named)

        return counted


def test_an_end_between_any_two_steps_changes_nothing(
    whole: Path, in_one: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = cut_in_two_runs(whole, SOME, size=SIZE)
    template = whole.parent.parent / "template"
    shutil.copytree(whole.parent, template)
    crawled = slices[1:]

    def work() -> None:
        for part in crawled:
            crawl_slice(whole, part, SOME, FAILING)
        merge(whole)

    steps = Steps(monkeypatch)
    work()
    most, made = steps.done, state(whole)
    for step in range(1, most, 13):
        for folder in (whole.parent, whole.parent.parent / "store"):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, whole.parent)
        steps.left = step
        with pytest.raises(Killed):
            work()
        with closing(Ledger(whole / LEDGER_PATH)) as ledger:
            crawled = [part for part in ledger.slices.unmerged() if part in slices[1:]]
        work()
        crawled = slices[1:]
        assert state(whole) == made, step
    merge_all(whole, SOME)
    assert finished(whole) == in_one


def state(whole: Path) -> dict[str, Any]:
    """Return what the whole's ledger has, and the files."""
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        tables = {
            table: ledger.database.execute(
                f"SELECT {columns} FROM {table} ORDER BY 1"
            ).fetchall()
            for table, columns in (
                ("images", "id, state, extension, sha256_stored, size, offset, "
                           "(SELECT name FROM pieces WHERE pieces.number = piece)"),
                ("unsettled", "number, error"),
                ("days", "day, state"),
                ("pieces", "name, images, bytes, sha256, state"),
                ("samples", "day, number"),
                ("slices", "number, images, merged"),
                ("balance", "state, images, bytes"),
            )
        }  # fmt: skip
    files = {
        path.relative_to(whole.parent).as_posix(): path.read_bytes()
        for path in whole.parent.rglob("*")
        if path.is_file() and not {".crawl", ".locks"} & set(path.parts)
    }
    return {**tables, "files": files}
