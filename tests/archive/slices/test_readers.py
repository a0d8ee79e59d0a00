"""What those say who look at a collection that is cut: one collection, the sum of its slices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.archive.leftovers import leftovers
from mapillary_crawler.archive.read_collection import read_collection
from mapillary_crawler.archive.slices.merging import bring_all_back, merge_slices
from mapillary_crawler.archive.slices.reading import cut_words, read_slices, refuse_cut
from mapillary_crawler.archive.status import failures, look_at
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.collection.places import Places
from mapillary_crawler.crawl.whole_progress import WholeProgress
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SliceMismatch
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.terminal.progress_file import read_progress
from tests.archive.finish.made import ANN, pictures
from tests.archive.slices.cut import crawl_slice, cut_in_two_runs
from tests.ledgers import fast_folder

SOME = pictures(days=4, a_day=6)
FAILING = SOME[13].image_id


@pytest.fixture
def places() -> Iterator[Places]:
    """Return a store and a staging folder."""
    with fast_folder() as folder:
        yield Places(folder / "store", folder / "staging")


@pytest.fixture
def whole(places: Places) -> Path:
    """Return a collection that is cut, whose second slice has ended."""
    whole = places.staging / ANN.name
    slices = cut_in_two_runs(whole, SOME, size=7)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.facts.set(username=ANN.username, quality=ANN.quality)
    crawl_slice(whole, slices[1], SOME)
    return whole


def balance(whole: Path) -> Balance:
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        return ledger.images.balance()


def test_the_sum_is_shown(whole: Path, places: Places) -> None:
    before = look_at(whole, places).balance
    assert before
    for part in read_slices(whole) or []:
        crawl_slice(whole, part, SOME, [FAILING])
    shown = look_at(whole, places).balance
    assert shown
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        merge_slices(LedgerHere(ledger), whole, {places.staging})
    assert shown == balance(whole) == look_at(whole, places).balance
    assert before.listed == shown.listed == len(SOME)
    assert before.saved < shown.saved
    assert (shown.failed, shown.left) == (1, 0)


def test_the_sum_is_told_by_who_crawls_a_slice(whole: Path, places: Places) -> None:
    slices = read_slices(whole) or []
    crawl_slice(whole, slices[0], SOME, [FAILING])
    opened: Any = SimpleNamespace(
        collection=ANN, name=slice_folder(whole, 1).name, whole_folder=whole
    )
    told = WholeProgress.of(opened)
    assert told
    told.write()
    for part in slices[2:]:
        crawl_slice(whole, part, SOME, [FAILING])
    told.write()
    progress = read_progress([whole])
    assert progress["collection"] == ANN.name
    assert progress["phase"] == "fetching"
    assert progress["images_per_second"] > 0
    balance = look_at(whole, places).balance
    assert balance
    assert {name: progress[name] for name in asdict(balance)} == asdict(balance)
    assert progress["listed"] == len(SOME)
    assert sorted(path.name for path in whole.parent.iterdir() if path.name[0] == ".") == []


def test_failures_are_those_of_the_slices(whole: Path, places: Places) -> None:
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:  # as they were when it was cut
        ledger.database.execute("UPDATE unsettled SET error = 'old'")
    for part in (read_slices(whole) or [])[:-1]:
        crawl_slice(whole, part, SOME, [FAILING])
    errors = {image_id: error for image_id, error, _ in failures(whole)}
    assert errors.pop(FAILING) == "HTTP 503"
    assert set(errors.values()) == {"old"}
    shown = look_at(whole, places).balance
    assert shown
    assert shown.unsettled == len(errors) + 1


def test_it_is_one_collection(whole: Path, places: Places) -> None:
    assert list(places.all()) == [whole]
    assert list(leftovers(places)) == []
    assert look_at(whole, places).state.startswith("cut into slices, ")
    lock = Lock({places.staging}, slice_folder(whole, 2).name)
    state = look_at(whole, places).state
    lock.release()
    assert state.startswith("fetching, ")
    assert state.endswith("slices: 1")


def test_who_needs_its_files_is_refused(whole: Path) -> None:
    with pytest.raises(Refused, match=r"cut into \d+ slices.*crawl user -a username=ann") as error:
        refuse_cut(whole)
    assert error.value.outcome is Outcome.INCOMPLETE
    with pytest.raises(Refused, match=r"cut into \d+ slices"), read_collection(whole):
        pass
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        merge_slices(LedgerHere(ledger), whole, {whole.parent})
    with read_collection(whole) as ledger:
        assert ledger.images.balance().listed == len(SOME)
    assert cut_words(whole.parent) is None


def test_a_slice_that_cannot_be_read(whole: Path, places: Places) -> None:
    (slice_folder(whole, 2) / LEDGER_PATH).write_bytes(b"no ledger at all" * 1000)
    assert look_at(whole, places).balance == balance(whole)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        with pytest.raises(SliceMismatch, match=r"#2/.*cannot be read.*fetched again"):
            merge_slices(LedgerHere(ledger), whole, {whole.parent})
        (slice_folder(whole, 2)).rename(whole.parent / "away")
        assert merge_slices(LedgerHere(ledger), whole, {whole.parent})


def test_a_lost_ledger_is_made_of_the_files_of_all_slices(whole: Path) -> None:
    for part in read_slices(whole) or []:
        crawl_slice(whole, part, SOME, [FAILING])
    (whole / LEDGER_PATH).unlink()
    tars = {path.name for path in whole.parent.glob("*/*.tar")}
    crawled = Lock({whole.parent}, slice_folder(whole, 2).name)
    with pytest.raises(Refused, match=r"another process works on .*#2"):
        bring_all_back(whole, {whole.parent})
    assert (slice_folder(whole, 2) / LEDGER_PATH).is_file()
    crawled.release()
    bring_all_back(whole, {whole.parent})
    assert {path.name for path in whole.glob("*.tar")} == tars
    assert [path.name for path in whole.parent.iterdir() if path.name != ".locks"] == [whole.name]
