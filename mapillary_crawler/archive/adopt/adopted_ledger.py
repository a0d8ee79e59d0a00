"""The ledger of a folder that another tool made: what it listed, and what of it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import TypeVar

from mapillary_crawler import __version__
from mapillary_crawler.archive.adopt.findings import Finding, Findings
from mapillary_crawler.archive.adopt.foreign_folder import DayTar, ForeignFolder
from mapillary_crawler.archive.adopt.judged import Judge, Judged
from mapillary_crawler.archive.adopt.listed_rows import ListedRows, row_of_file
from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.collection.durable import digests_of, sync_folder
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.graph.api import PAGE_ROWS
from mapillary_crawler.ledger.adopted import Adopted
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import AdoptedFile, DayState, ListedRow

_Thing = TypeVar("_Thing")

#: Files settled in one transaction.
_BATCH = 200
_TOOL = "mapillary_downloader"


class AdoptedLedger:
    """The ledger of what is there; it has its name once it is whole."""

    def __init__(self, folder: ForeignFolder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._page = 0
        self._unreadable: set[str] = set()
        #: Members of tars that stand for no image: tar, name, offset; and tars with damage.
        self._passed_over: list[tuple[str, str, int | None]] = []
        self._damaged: list[str] = []

    def build(self, findings: Findings) -> None:
        """Make it; nothing else changes."""
        path = self._folder.path / LEDGER_PATH
        unfinished = path.with_name("adopting.sqlite")
        for left in path.parent.glob(f"{unfinished.name}*"):
            left.unlink()
        ledger = Ledger(unfinished)
        try:
            self._fill(ledger, findings)
        finally:
            ledger.close()
        findings.flush()  # once the ledger has its name they are read, not found again
        sync_folder(path.parent)
        unfinished.rename(path)

    def _fill(self, ledger: Ledger, findings: Findings) -> None:
        tool = read_metadata(self._folder.path).get(_TOOL, ["unknown version"])[0]
        complete = self._list(ledger, findings)
        with Judge() as judge:
            tars = self._folder.tars()
            for number, tar in enumerate(tars, 1):
                self._say(f"tar {number} of {len(tars)}: {tar.path.name}")
                self._adopt_tar(ledger, judge, tar, findings)
            self._take(ledger, judge.loose(self._folder), None, findings)
        for image_id, _, _ in ledger.images.failures():
            if image_id not in self._unreadable:
                findings.note(Finding.LOST, image_id)
        ledger.listing.reopen()
        ledger.facts.set(
            username=self._folder.collection.username,
            versions=[__version__],
            adopted={"tool": _TOOL, "version": tool, "listing_complete": complete},
            passed_over=self._passed_over,
            damaged_tars=self._damaged,
        )
        if tars:
            ledger.facts.set(tar=True)

    def _list(self, ledger: Ledger, findings: Findings) -> bool:
        """Take the rows that were listed; say whether that listing had come to its end."""
        assert self._folder.metadata is not None
        rows = ListedRows(self._folder.metadata, self._folder.collection)
        for page in _pages(rows, PAGE_ROWS):
            self._commit(ledger, page)
        if rows.damage:
            findings.note(Finding.METADATA, rows.damage)
        if rows.unusable:
            findings.note(Finding.METADATA, f"{rows.unusable:,} lines that name no image")
        if not rows.complete:
            findings.note(Finding.METADATA, "that tool did not come to the end of the listing")
        return rows.complete

    def _commit(self, ledger: Ledger, rows: list[ListedRow]) -> None:
        asked = str(self._page) if self._page else None
        self._page += 1
        ledger.listing.commit(asked, str(self._page), rows)

    def _adopt_tar(self, ledger: Ledger, judge: Judge, tar: DayTar, findings: Findings) -> None:
        number = ledger.pieces.start_tar(tar.path.name, tar.day, tar.part)
        ledger.pieces.written(number, **asdict(digests_of(tar.path)))

        def damaged(why: str) -> None:
            findings.note(Finding.DAMAGED_TAR, why)
            if tar.path.name not in self._damaged:
                self._damaged.append(tar.path.name)

        members = judge.tar(tar, damaged)
        places = self._take(ledger, members, tar, findings)
        ledger.pieces.seal_tar(number, places)
        ledger.days.set_state(tar.day, DayState.SEALED)

    def _take(
        self, ledger: Ledger, judged: Iterator[Judged], tar: DayTar | None, findings: Findings
    ) -> list[tuple[int, int]]:
        """Settle the good images; return their numbers and offsets, where they are in a tar."""
        places = []
        for batch in _pages(judged, _BATCH):
            for file, number in self._settle(ledger, batch, tar, findings):
                places.append((number, file.offset or 0))
                if tar is None:
                    assert file.place is not None
                    ledger.days.set_state(file.place.day, DayState.OPEN)
        return places

    def _settle(
        self, ledger: Ledger, batch: list[Judged], tar: DayTar | None, findings: Findings
    ) -> Iterator[tuple[Judged, int]]:
        """Yield the files that stand for their images from now on, with the images' numbers."""
        good: dict[str, Judged] = {}
        for judged in batch:
            place = judged.place
            if place is None:
                self._pass_over(judged, tar, findings, Finding.FOREIGN)
            elif judged.fault is not None or not judged.sha256:
                self._unreadable.add(place.image_id)
                self._pass_over(judged, tar, findings, Finding.UNREADABLE)
            elif good.setdefault(place.image_id, judged) is not judged:
                self._pass_over(judged, tar, findings, Finding.AGAIN)
        adopted = Adopted(ledger.database)
        taken = adopted.take([_file(judged) for judged in good.values()])
        for image_id in taken.again:
            self._pass_over(good[image_id], tar, findings, Finding.AGAIN)
        numbers = taken.numbers
        if taken.unlisted:
            unlisted = [good[image_id] for image_id in taken.unlisted]
            self._commit(ledger, [row_of_file(each, self._folder.collection) for each in unlisted])
            numbers |= adopted.take([_file(judged) for judged in unlisted]).numbers
            for judged in unlisted:
                findings.note(Finding.UNLISTED, judged.name)
        self._unreadable -= numbers.keys()
        yield from ((good[image_id], number) for image_id, number in numbers.items())

    def _pass_over(
        self, judged: Judged, tar: DayTar | None, findings: Findings, finding: Finding
    ) -> None:
        """Note a file that stands for no image; in a tar it stays, beside what the ledger has."""
        why = None
        if finding is Finding.UNREADABLE:
            why = judged.fault or f"too large, {judged.size:,} bytes"
        findings.note(finding, judged.name, why)
        if tar:
            self._passed_over.append((tar.path.name, judged.name, judged.offset))


def _file(judged: Judged) -> AdoptedFile:
    assert judged.place is not None
    place = judged.place
    return AdoptedFile(
        image_id=place.image_id,
        day=place.day,
        sequence=place.sequence,
        extension=place.extension,
        sha256=judged.sha256,
        size=judged.size,
    )


def _pages(things: Iterable[_Thing], size: int) -> Iterator[list[_Thing]]:
    source = iter(things)
    while page := list(islice(source, size)):
        yield page
