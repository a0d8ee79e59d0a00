"""Collections that are cut, crawled in slices without a crawl, and merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mapillary_crawler import __version__
from mapillary_crawler.archive.finish import seal
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.slices.making import make_slice
from mapillary_crawler.archive.slices.merging import merge_slices
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, Slice, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import Picture, add, settle

#: Below which the tars of these collections stay, as `finish` makes them.
TAR_MAX_BYTES = 10_240 * 2


def cut_in_two_runs(
    folder: Path, some: Sequence[Picture], *, size: int, saved: int = 8
) -> list[Slice]:
    """List images, of which the first ones came while they were listed; seal a day, and cut."""
    add(folder, [each if place < saved else unsettled(each) for place, each in enumerate(some)])
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        seal_done(ledger, folder)
        assert ledger.slices.may_be_cut(size)
        ledger.slices.cut(size, __version__, tar_max_bytes=TAR_MAX_BYTES)
        return ledger.slices.all()


def unsettled(picture: Picture) -> Picture:
    """Return an image that is to come."""
    return replace(picture, state=State.UNSETTLED, bare=None)


def crawl_slice(
    whole: Path, part: Slice, some: Sequence[Picture], failing: Iterable[str] = ()
) -> None:
    """Make a slice and bring its images into the states that a crawl comes to."""
    folder = slice_folder(whole, part.number)
    make_slice(whole, folder, part)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        if ledger.slices.ended is not None:
            return
        _settle(folder, ledger, some, failing)
        seal_done(ledger, folder)
        ledger.slices.set_ended(3 if ledger.images.balance().unsettled else 0)


def _settle(
    folder: Path, ledger: Ledger, some: Sequence[Picture], failing: Iterable[str] = ()
) -> None:
    rows = ledger.database.execute("SELECT number FROM unsettled ORDER BY number").fetchall()
    left = [(number, some[number - 1]) for (number,) in rows]
    settle(folder, ledger, [each for each in left if each[1].image_id not in failing])
    failed = [number for number, picture in left if picture.image_id in failing]
    ledger.queue.fail([FailedAttempt(number, "HTTP 503", 0) for number in failed])


def seal_done(ledger: Ledger, folder: Path) -> None:
    """Seal the days of which nothing is wanted any more, as beside a crawl."""
    work = Work(LedgerHere(ledger), folder, lambda: False, lambda _: None)
    work.make_scratch()
    seal.forget_unfinished(work)
    for day in ledger.days.done():
        if not ledger.members.may_be_withdrawn(day):
            assert not seal.seal_day(work, day, TAR_MAX_BYTES)
    work.clear_scratch()


def merge_all(folder: Path, some: Sequence[Picture]) -> int:
    """Merge the slices, then fetch in the whole what is wanted still; return how many merged."""
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        merged = merge_slices(LedgerHere(ledger), folder, {folder.parent})
        _settle(folder, ledger, some)
    return merged
