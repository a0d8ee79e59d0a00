"""A slice of a collection while it is crawled: a folder, a lock and a ledger of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mapillary_crawler import __version__
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.making import make_slice
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.arguments import Arguments
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.crawl.open_collection import OpenCollection, unusable_ledger
from mapillary_crawler.crawl.slice_room import SliceRoom
from mapillary_crawler.ledger.records import Slice, SliceMismatch, SliceState
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.terminal.program import program_name


class OpenSlice(OpenCollection):
    """A slice, opened as a collection is: nothing is listed, and nothing finished but its days.

    Its ledger is made of the whole's, which is only read, and the files of its days are moved to
    it. The whole may be crawled by nobody meanwhile but in other slices.
    """

    def __init__(
        self, arguments: Arguments, configuration: Configuration, *, plan: bool = False
    ) -> None:
        # What speaks to archive.org is the whole's run.
        alone = replace(arguments, upload=False, remove=False)
        super().__init__(alone, configuration, plan=plan)
        assert arguments.slice_number is not None
        self.whole_folder: Path = self.folder
        if arguments.remove:
            self.slice_room = SliceRoom(self.folder, configuration, self.collection.quality)
        self.slice_number = arguments.slice_number
        self.folder = slice_folder(self.folder, self.slice_number)
        self.name = self.folder.name
        self.title = f"{self.title}, slice {self.slice_number}"
        self.gives_back = True
        self._part: Slice

    @property
    def place(self) -> Path:
        """Where the slice is worked on."""
        return self.folder

    def siblings(self) -> list[str]:
        """Return nothing: what is beside it is said of the whole."""
        return []

    def whole(self) -> Path | None:
        """Return None: what is beside it is said of the whole."""
        return None

    def _refuse_what_is_here(self) -> None:
        """Raise `Refused` where there is no such slice, or nothing is left to do for it."""
        self._part = self._find()
        if self._part.state is SliceState.MERGED:
            raise Refused(
                Outcome.SLICE_COMPLETE,
                f"{self.title} is done: what it had is the collection's again",
            )
        if descent.is_file(self.folder.parent, self.folder.name + "/" + str(LEDGER_PATH)):
            self._refuse_what_has_ended()
        if self.slice_room:
            self._refuse_no_room(self.slice_room)

    def _refuse_what_has_ended(self) -> None:
        try:
            with closing(read_ledger(self.folder, locked=True)) as ledger:
                ended, balance = ledger.slices.ended, ledger.images.balance()
                # Only once: by a wrong clock it would wait for ever.
                self.gives_back = not ledger.slices.wants_urls
        except (LedgerTooNew, sqlite3.DatabaseError) as error:
            raise self._unreadable(error, self.folder / LEDGER_PATH) from None
        if ended is not None:
            outcome = Outcome.SLICE_INCOMPLETE if ended else Outcome.SLICE_COMPLETE
            raise Refused(outcome, f"{self.title} has ended: {balance}")

    def _refuse_no_room(self, room: SliceRoom) -> None:
        """Raise `Refused` where the slice cannot be crawled to its end."""
        try:
            with closing(read_ledger(self.whole_folder)) as ledger:
                lacks = room.lacks(ledger, self.slice_number)
        except (LedgerTooNew, sqlite3.DatabaseError) as error:
            raise self._unreadable(error, self.whole_folder / LEDGER_PATH) from None
        if lacks:
            raise Refused(
                Outcome.DISK_FULL,
                f"{self.title}: no room for it beside what is here and the slices before it; it "
                "is begun once an upload has made some",
            )

    def _find(self) -> Slice:
        """Return what the whole says of the slice; raises `Refused`."""
        for folder in (self.whole_folder, self.destination):
            if not (folder / LEDGER_PATH).is_file():
                continue
            try:
                with closing(read_ledger(folder)) as ledger:
                    part = ledger.slices.find(self.slice_number or 0)
                    slices, version = ledger.slices.all(), ledger.slices.version
            except (LedgerTooNew, sqlite3.DatabaseError) as error:
                raise self._unreadable(error, folder / LEDGER_PATH) from None
            if part is None:
                known = "it is not cut"
                if slices:
                    known = f"it has {slices[0].number} to {slices[-1].number}"
                raise Refused(Outcome.REFUSED, f"{self.title}: there is no such slice; {known}")
            if part.state is not SliceState.MERGED and version != __version__:
                raise Refused(
                    Outcome.REFUSED,
                    f"{self.title} was cut by version {version}, this is {__version__}; run that "
                    "one, or let a crawl with cut=1 cut it anew",
                )
            return part
        raise Refused(
            Outcome.REFUSED,
            f"{self.title}: there is no such collection; one is listed and cut by "
            f"{program_name()} crawl user -a username=NAME -a cut=1",
        )

    def _unreadable(self, error: Exception, path: Path) -> Refused:
        if isinstance(error, sqlite3.DatabaseError):
            return unusable_ledger(error, path)
        return Refused(Outcome.REFUSED, f"{path.parent.parent}: {error}")

    def _lock_folders(self) -> set[Path]:
        """Return the staging folder alone: nothing of a slice is in the store.

        So that of a machine which is gone, or hangs, keeps no other from the slice.
        """
        return {self.configuration.staging}

    def _open_ledger(self) -> None:
        path = self.folder / LEDGER_PATH
        try:
            make_slice(self.whole_folder, self.folder, self._part)
        except (LedgerTooNew, SliceMismatch) as error:
            raise Refused(Outcome.REFUSED, f"{self.folder}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise unusable_ledger(error, path) from None
        super()._open_ledger()

    def _take_up_slices(self) -> None:
        """Leave it as it is: a slice is not cut."""
