"""The ledger of a folder that another tool made: what it listed, and what of it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from mapillary_crawler import __version__
from mapillary_crawler.archive.adopt.findings import Finding, Findings
from mapillary_crawler.archive.adopt.foreign_folder import (
    TOOL,
    Adoptable,
    ForeignTar,
    is_image_like,
)
from mapillary_crawler.archive.adopt.judged import Judge, Judged, file_of
from mapillary_crawler.archive.adopt.listed_rows import ListedRows, row_of_file
from mapillary_crawler.archive.adopt.moves import Moves
from mapillary_crawler.archive.adopt.unpacking import portions, unpack
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import ADOPTING_PATH, LEDGER_PATH, is_clutter
from mapillary_crawler.collection.limits import STRANGERS, TAR_STRANGERS
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.graph.api import PAGE_ROWS
from mapillary_crawler.ledger.adopted import Adopted
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DayState, ListedRow, PieceState, Taken
from mapillary_crawler.terminal.work_display import WorkDisplay

#: Files settled in one transaction.
_BATCH = 200
#: Bytes of rows that are in memory at once, but for one more.
_PAGE_BYTES = 16 << 20


class AdoptedLedger:
    """The ledger of what is there, in the new collection at `place`.

    It has its name once it is whole. Images in tars that are not of days are unpacked there.
    `shown` hears of the bytes that are read.
    """

    def __init__(
        self,
        folder: Adoptable,
        place: Path,
        say: Callable[[str], None],
        shown: WorkDisplay,
        *,
        walk: bool = True,
    ) -> None:
        self._folder = folder
        self._walk = walk
        self._place = place
        self._moves = Moves(place)
        self._strangers: Counter[str] = Counter()
        self._say = say
        self._shown = shown
        self._page = 0
        self._unreadable: set[str] = set()
        #: Members of tars that stand for no image: tar, name, offset; and tars with damage.
        self._passed_over: list[tuple[str, str, int | None]] = []
        self._damaged: list[str] = []

    def build(self, findings: Findings) -> None:
        """Make it; the folder stays as it is. Raises `Refused`, `DiskFull`, `OSError`."""
        path = self._place / LEDGER_PATH
        unfinished = self._place / ADOPTING_PATH
        ledger = Ledger(unfinished)
        try:
            with self._moves:
                self._fill(ledger, findings)
                self._moves.flush()
        finally:
            ledger.close()
        findings.flush()  # once the ledger has its name they are read, not found again
        sync_folder(path.parent)
        unfinished.rename(path)
        sync_folder(path.parent)  # before anything is moved by it

    def _fill(self, ledger: Ledger, findings: Findings) -> None:
        complete = self._list(ledger, findings)
        with Judge(walk=self._walk) as judge:
            tars = self._folder.tars()
            loose = sum((self._folder.path / name).lstat().st_size for name in self._folder.loose())
            sizes = [tar.size for tar in tars]
            self._shown.begin("adopting", len(tars) + 1, sum(sizes) + loose)
            for number, tar in enumerate(tars, 1):
                self._say(f"tar {number} of {len(tars)}: {tar.path.name}")
                self._shown.begin_file(tar.path.name, sizes[number - 1])
                self._adopt_tar(ledger, judge, tar, findings)
                self._shown.end_file()
            if self._folder.is_here:
                self._say(f"what lies loose in {self._folder.source}")
            self._shown.begin_file("loose files", loose)
            self._take(ledger, judge.loose(self._folder), None, findings)
            self._shown.end_file()
        for image_id, _, _ in ledger.images.failures():
            if self._folder.is_read and image_id not in self._unreadable:
                findings.note(Finding.LOST, image_id)
        ledger.listing.reopen()
        ledger.facts.set(
            username=self._folder.collection.username,
            versions=[__version__],
            adopted={
                "tool": TOOL,
                "version": self._folder.version,
                "listing_complete": complete,
                "folder": self._folder.source,
            },
            passed_over=self._passed_over,
            damaged_tars=self._damaged,
        )
        if any(tar.day for tar in tars):
            ledger.facts.set(tar=True)

    def _list(self, ledger: Ledger, findings: Findings) -> bool:
        """Take the rows that were listed; say whether that listing had come to its end."""
        complete = False
        for name in self._folder.metadata:
            rows = ListedRows(self._folder.path, name, self._folder.collection)
            for page in portions(rows, PAGE_ROWS, lambda row: len(row.line), _PAGE_BYTES):
                self._commit(ledger, page)
            if rows.damage:
                findings.note(Finding.METADATA, rows.damage)
            if rows.unusable:
                findings.note(Finding.METADATA, f"{rows.unusable:,} lines that name no image")
            complete = complete or rows.complete
        if not complete:
            findings.note(Finding.METADATA, "that tool did not come to the end of the listing")
        return complete

    def _commit(self, ledger: Ledger, rows: list[ListedRow]) -> None:
        asked = str(self._page) if self._page else None
        self._page += 1
        ledger.listing.commit(asked, str(self._page), rows)

    def _adopt_tar(self, ledger: Ledger, judge: Judge, tar: ForeignTar, findings: Findings) -> None:
        def damaged(why: str) -> None:
            findings.note(Finding.DAMAGED_TAR, why)
            if tar.day and tar.path.name not in self._damaged:
                self._damaged.append(tar.path.name)

        members = judge.tar(tar, damaged)
        if tar.day is None:
            self._take(ledger, members, tar, findings)
            return
        number = ledger.pieces.start_tar(tar.path.name, tar.day, tar.part)
        places = self._take(ledger, members, tar, findings)
        ledger.pieces.written(number, **asdict(tar.digests()))
        ledger.pieces.seal_tar(number, places)
        ledger.days.set_state(tar.day, DayState.SEALED)
        if tar.remote:
            ledger.pieces.set_state(tar.path.name, PieceState.REMOVED, tar.remote.item)
        else:
            self._moves.add(tar.path.name, tar.path.name)

    def _take(
        self, ledger: Ledger, judged: Iterator[Judged], tar: ForeignTar | None, findings: Findings
    ) -> list[tuple[int, int]]:
        """Settle the good images; return their numbers and offsets, where they stay in a tar."""
        places = []
        for batch in portions(judged, _BATCH):
            self._shown.advance(sum(each.size for each in batch))
            good, taken = self._settle(ledger, batch, tar, findings)
            if tar and tar.day:
                places += [(n, good[each].offset or 0) for each, n in taken.numbers.items()]
                continue
            for member in taken.members.values():
                ledger.days.set_state(member.split("/", maxsplit=1)[0], DayState.OPEN)
            files = [(good[each], member) for each, member in taken.members.items()]
            if tar:
                unpack(tar, self._place, files)
            else:
                for file, member in files:
                    self._moves.add(file.name, member)
        return places

    def _settle(
        self, ledger: Ledger, batch: list[Judged], tar: ForeignTar | None, findings: Findings
    ) -> tuple[dict[str, Judged], Taken]:
        """Return the good files by id, and which of them stand for their images from now on."""
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
        taken = adopted.take([file_of(judged) for judged in good.values()])
        for image_id in taken.again:
            self._pass_over(good[image_id], tar, findings, Finding.AGAIN)
        if taken.unlisted:
            unlisted = [good[image_id] for image_id in taken.unlisted]
            self._commit(ledger, [row_of_file(each, self._folder.collection) for each in unlisted])
            late = adopted.take([file_of(judged) for judged in unlisted])
            taken.numbers.update(late.numbers)
            taken.members.update(late.members)
            for judged in unlisted:
                findings.note(Finding.UNLISTED, judged.name)
        self._unreadable -= taken.numbers.keys()
        return good, taken

    def _pass_over(
        self, judged: Judged, tar: ForeignTar | None, findings: Findings, finding: Finding
    ) -> None:
        """Note a file that stands for no image; in a tar of a day it stays there.

        Raises `Refused` where that may be an image after all, or there are too many of them.
        """
        is_foreign = finding is Finding.FOREIGN and not is_clutter(judged.name)
        if tar and is_foreign and (tar.day is None or is_image_like(judged.name)):
            raise self._folder.unknown(f"{tar.path.name}: {judged.name}")
        if finding is not Finding.UNREADABLE or not judged.size:
            self._count_stranger(tar)
        why = None
        if finding is Finding.UNREADABLE:
            why = judged.fault or f"too large, {judged.size:,} bytes"
        findings.note(finding, judged.name, why)
        if tar and tar.day:
            self._passed_over.append((tar.path.name, judged.name, judged.offset))

    def _count_stranger(self, tar: ForeignTar | None) -> None:
        name = tar.path.name if tar else ""
        self._strangers[name] += 1
        of_all = self._strangers.total()
        if (tar and self._strangers[name] > TAR_STRANGERS) or of_all > STRANGERS:
            raise Refused(
                Outcome.REFUSED,
                f"{self._folder.source}/{name} has {self._strangers[name]:,} members or more that "
                "stand for no image: it is no such file; nothing was changed",
            )
