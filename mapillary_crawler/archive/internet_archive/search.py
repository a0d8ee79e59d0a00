"""Finds all items of this family of tools, and who uploaded those that are not at home."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mapillary_crawler.archive.internet_archive.archived_item import FIELDS, SEARCH, ArchivedItem
from mapillary_crawler.archive.internet_archive.cache import Cache, Found, with_known_uploaders
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import Trouble

#: Items between two lines that say how many were found.
_SAID_EVERY = 10_000
#: Uploaders are kept after so many, so that an interrupted run has not asked in vain.
_KEPT_EVERY = 200
#: So many failures in a row, and the rest of the uploaders is left to another run.
_FAILURES = 3


class Searcher(Protocol):
    """The part of `ArchiveOrg` that a search needs."""

    def search(self, query: str, fields: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """Yield the results of a search."""

    def uploader(self, identifier: str) -> str | None:
        """Return who uploaded an item."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search whose results go to the cache; `say` hears how far it is."""

    archive: Searcher
    cache: Cache
    retry: Retry
    say: Callable[[str], None]

    def run(self) -> Found:
        """Search, ask for uploaders that are not known yet, and keep all of it."""
        before = self.cache.read()
        items = self.retry("search", self._items)
        found = Found(
            tuple(with_known_uploaders(items, before.items if before else ())), time.time()
        )
        self.cache.write(found)
        return self._with_uploaders(found)

    def _items(self) -> list[ArchivedItem]:
        items = []
        for number, result in enumerate(self.archive.search(SEARCH, FIELDS), 1):
            item = ArchivedItem.found(result)
            if item:
                items.append(item)
            if number % _SAID_EVERY == 0:
                self.say(f"found {number:,} items so far")
        return items

    def _with_uploaders(self, found: Found) -> Found:
        """Ask for the uploaders of items outside `mapillary-images`; they never change."""
        items = list(found.items)
        wanted = [
            number
            for number, item in enumerate(items)
            if item.name and not item.at_home and not item.uploader
        ]
        failures = 0
        for done, number in enumerate(wanted, 1):
            try:
                uploader = self.archive.uploader(items[number].identifier)
            except Trouble as trouble:
                failures += 1
                if failures == _FAILURES:
                    self.say(f"uploaders are left to another run: {trouble}")
                    break
                continue
            failures = 0
            if uploader:
                items[number] = items[number].uploaded_by(uploader)
            if done % _KEPT_EVERY == 0:
                self.say(f"asked for {done:,} of {len(wanted):,} uploaders")
                self.cache.write(Found(tuple(items), found.fetched_at))
        complete = Found(tuple(items), found.fetched_at)
        if wanted:
            self.cache.write(complete)
        return complete
