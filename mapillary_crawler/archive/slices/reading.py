"""Into what a collection is cut, and how far each slice is, for those who only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mapillary_crawler.archive.collection_arguments import collection_arguments, crawl_command
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.outcome import Outcome, ProjectError, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Piece, Slice, SliceState


def read_slices(folder: Path) -> list[Slice] | None:
    """Return the slices of the collection in `folder`, in order; None where it is not cut.

    Never waits, never writes. A slice that was merged has no folder any more. Raises
    `sqlite3.Error`, `LedgerTooNew` where the collection's ledger cannot be read; None where there
    is none.
    """
    if not (folder / LEDGER_PATH).is_file():
        return None
    with closing(read_ledger(folder)) as ledger:
        return slices_of(folder, ledger) or None


def slices_of(folder: Path, ledger: Ledger) -> list[Slice]:
    """Return the slices of the collection in `folder`, whose ledger is given; none: not cut."""
    renewed = ledger.slices.renewed
    return [_looked_at(folder, part, renewed) for part in ledger.slices.all()]


def known_slices(folder: Path) -> list[Slice] | None:
    """Return what `read_slices` does; None, too, where the collection's ledger cannot be read.

    For who goes on by it: the crawl of such a collection says why, and ends by itself.
    """
    try:
        return read_slices(folder)
    except (OSError, sqlite3.Error, ProjectError):
        return None


def open_ledgers(folder: Path, ledger: Ledger) -> Iterator[Ledger]:
    """Yield the ledgers of the slices that are not merged, as far as they are made.

    `ledger` is that of the collection in `folder`. What cannot be read is left out.
    """
    for part in ledger.slices.unmerged():
        place = slice_folder(folder, part.number)
        with suppress(OSError, sqlite3.Error, ProjectError):
            if descent.is_file(place, str(LEDGER_PATH)):
                with closing(read_ledger(place)) as own:
                    yield own


def whole_balance(folder: Path, ledger: Ledger) -> Balance:
    """Return the balance of a collection, its slices' included."""
    balance = ledger.images.balance()
    for own in open_ledgers(folder, ledger):
        balance = balance.changed(own.slices.begun, own.images.balance())
    return balance


def own_tars(ledger: Ledger) -> list[Piece]:
    """Return the tars of a collection, by name, but for those that a slice may have with it."""
    slices = ledger.slices.unmerged()
    return [
        piece
        for piece in ledger.pieces.all()
        if piece.day and not any(part.first_day <= piece.day <= part.last_day for part in slices)
    ]


@dataclass(frozen=True, slots=True)
class Held:
    """What is here of a collection that is cut: `size` bytes, and what is missing of open slices.

    `saved` images of `saved_bytes` were fetched so far, be they removed here since. `missing` are
    images, by the numbers of the slices.
    """

    size: int
    saved: int
    saved_bytes: int
    missing: Mapping[int, int]


def held(folder: Path, ledger: Ledger) -> Held:
    """Return what is here of the collection in `folder`, whose ledger is given, and its slices."""
    missing = {part.number: part.images for part in ledger.slices.unmerged()}
    saved = of_slices = 0
    for own in open_ledgers(folder, ledger):
        begun, now, number = own.slices.begun, own.images.balance(), own.slices.number
        saved += now.saved - begun.saved
        of_slices += now.bytes_saved - begun.bytes_saved
        missing[number] = now.unsettled
        if own.slices.ended is not None:
            del missing[number]
    # Last: a slice that is merged meanwhile counts twice rather than not at all.
    of_whole, bytes_of_whole = ledger.survey.kept_saved()
    size = ledger.staged.kept() + of_slices
    return Held(size, saved + of_whole, of_slices + bytes_of_whole, missing)


def refuse_cut(folder: Path) -> None:
    """Raise `Refused` for a collection whose files lie with its slices, for who needs all of them.

    A ledger that cannot be read is not this one's to tell.
    """
    if words := cut_words(folder):
        raise Refused(Outcome.INCOMPLETE, words)


def cut_words(folder: Path) -> str | None:
    """Say of such a collection what it is, and what to do; None for any other."""
    with suppress(sqlite3.Error, ProjectError):
        slices = read_slices(folder) or []
        if any(part.state is not SliceState.MERGED for part in slices):
            return (
                f"{folder.name} is cut into {len(slices)} slices, which have its images; crawl it "
                f"to its end first: {crawl_command(collection_arguments(folder))}"
            )
    return None


def _looked_at(folder: Path, part: Slice, renewed: int) -> Slice:
    """Return how far a slice is; what cannot be read is open, and its crawl says why."""
    place = slice_folder(folder, part.number)
    if part.state is SliceState.MERGED:
        return part
    with suppress(OSError, sqlite3.Error, ProjectError):
        if descent.is_file(place, str(LEDGER_PATH)):
            with closing(read_ledger(place)) as ledger:
                of = ledger.slices
                state = SliceState.OPEN if of.ended is None else SliceState.ENDED
                wants_urls = of.wants_urls and of.renewed >= renewed
                return replace(part, state=state, wants_urls=wants_urls)
    return part
