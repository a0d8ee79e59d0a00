"""The balance of a collection that is cut, asked for again and again while it is crawled."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.outcome import ProjectError


class SlicesSum:
    """Adds up the ledgers of all slices; those that have ended are read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: What slices were when they were made, and have come to since.
        self._ended: dict[int, tuple[Balance, Balance]] = {}

    def balance(self) -> Balance | None:
        """Return what `whole_balance` does; None where the collection's ledger cannot be read."""
        try:
            with closing(read_ledger(self._folder)) as ledger:
                balance, parts = ledger.images.balance(), ledger.slices.unmerged()
        except (OSError, sqlite3.Error, ProjectError):
            return None
        for part in parts:
            if change := self._change(part.number):
                balance = balance.changed(*change)
        return balance

    def _change(self, number: int) -> tuple[Balance, Balance] | None:
        if number in self._ended:
            return self._ended[number]
        place = slice_folder(self._folder, number)
        with suppress(OSError, sqlite3.Error, ProjectError):
            if descent.is_file(place, str(LEDGER_PATH)):
                with closing(read_ledger(place)) as ledger:
                    change = ledger.slices.begun, ledger.images.balance()
                    if ledger.slices.ended is not None:
                        self._ended[number] = change
                return change
        return None
