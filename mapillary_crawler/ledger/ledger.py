"""SQLite: the only SQL of the project, one noun a file.

The ledger is the only source of truth for "do we have it?", "where does the
listing go on?" and "what failed, and why?".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mapillary_crawler.ledger.arranged import Arranged
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.days import Days
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.found import Found
from mapillary_crawler.ledger.gone import Gone
from mapillary_crawler.ledger.images import Images
from mapillary_crawler.ledger.listing import Listing
from mapillary_crawler.ledger.lost import Lost
from mapillary_crawler.ledger.members import Members
from mapillary_crawler.ledger.other_formats import OtherFormats
from mapillary_crawler.ledger.pages import Pages
from mapillary_crawler.ledger.pieces import Pieces
from mapillary_crawler.ledger.queue import Queue
from mapillary_crawler.ledger.records import State, StoredFile
from mapillary_crawler.ledger.samples import Samples
from mapillary_crawler.ledger.slices import Slices
from mapillary_crawler.ledger.staged import Staged
from mapillary_crawler.ledger.survey import Survey
from mapillary_crawler.ledger.trouble import LedgerDamaged
from mapillary_crawler.ledger.update import Update


class Ledger:
    """The nouns of a collection's ledger on one connection.

    Raises `schema.LedgerTooNew`, `trouble.LedgerTrouble` where the disk is at fault, or
    `sqlite3.DatabaseError` for a file that is no ledger. `wal` is that of `Database`.
    """

    def __init__(self, path: Path, *, read_only: bool = False, wal: bool = True) -> None:
        self.database = Database(path, read_only=read_only, wal=wal)
        self.facts = Facts(self.database)
        self.pages = Pages(self.database)
        self.found = Found(self.database)
        self.members = Members(self.database)
        self.listing = Listing(self.database, self.facts, self.pages, self.members, self.found)
        self.queue = Queue(self.database, self.pages)
        self.images = Images(self.database, self.pages)
        self.arranged = Arranged(self.database)
        self.gone = Gone(self.database, self.facts, self.images, self.queue)
        self.other_formats = OtherFormats(self.database)
        self.days = Days(self.database, self.facts)
        self.pieces = Pieces(self.database)
        self.lost = Lost(self.database, self.images, self.pieces)
        self.samples = Samples(self.database)
        self.slices = Slices(self.database, self.facts)
        self.staged = Staged(self.database)
        self.survey = Survey(self.database, self.pages)
        self.update = Update(self.database, self.facts, self.listing)

    def start_run(self) -> int:
        """Begin a run: everything unsettled is due, and so is what was accepted as failed.

        What an interrupted run believed to be gone, without proof, is due, too.

        Returns the run's number.
        """
        self.listing.start_run()
        self.images.want_accepted()
        self.gone.start_run()
        self.queue.start_run()
        if self.listing.position().closed:  # by a version that made no index
            self.members.make_index()
        return self.facts.add("runs", 1)

    def save(self, files: Sequence[StoredFile]) -> None:
        """Settle images whose files lie durably on the disk."""
        self.images.save(files)
        self.queue.came_back(file.number for file in files)

    def settle(self, numbers: Sequence[int], state: State) -> None:
        """Settle images that will not be saved: gone, unavailable or accepted."""
        self.images.settle(numbers, state)
        self.queue.came_back(numbers)

    def is_sound(self) -> bool:
        """Say whether nothing is wrong with the file, nor with the listed rows; reads all of it."""
        if self.database.value("PRAGMA quick_check(1)") != "ok":
            return False
        with suppress(LedgerDamaged):
            self.pages.ensure_sound()
            return True
        return False

    def stays_damaged(self, number: int) -> bool:
        """Say whether an image that came damaged was stored so before this update, and is again."""
        stays = self.update.came_damaged(number)
        if stays:
            self.queue.put_back([number])
        return stays

    def close(self) -> None:
        """Bring everything into the one file and close it."""
        self.database.close()
