"""The slices of a collection: cut of whole days, and later merged, each exactly once.

A cut is frozen: it is made once all is listed, and no row of the whole changes until the slices
are merged, so the ledger of one can be made of the whole's at any time (`slicing.fill`).
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, NamedTuple

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.facts import Facts
from mapillary_crawler.ledger.records import PieceState, Slice, SliceMismatch, SliceState, State

#: Facts of the whole: by which cut it is cut, and which version of this program made it.
CUT = "cut"
#: Facts of a slice: its number, and of which cut by which version; with what balance it began.
OF_CUT, BEGUN = "slice_of", "slice_begun"
#: A fact of a slice: ids of a few images that the whole had, where the slice has none itself.
WITNESSES = "slice_witnesses"
#: A fact of both: how often the URLs of the whole were renewed, as far as that ledger has them.
RENEWED = "urls_renewed"
#: Facts of a slice: whether it waits for that; whether the files of its days are with it; with
#: which exit code it has ended.
_WANTS_URLS, _FILES_TAKEN, _ENDED = "slice_wants_urls", "slice_files_taken", "slice_ended"
#: A fact of the whole: its slices had no room, so that it is crawled by one process.
_NOT_CUT = "not_cut"
#: What says where images are, or in which days, otherwise than a crawl does; such is never cut.
_ODD_FACTS = ("adopted", "days_differ", "updating", _NOT_CUT)

#: Values of the column `merged`: a slice that had ended, and one that came with what it had.
_MERGED, _MERGED_EARLY = 1, 2

_COLUMNS = "number, images, first_day, last_day, merged"


class _Days(NamedTuple):
    """Neighbouring days, their listed images, and how many of these are unsettled."""

    first: str
    last: str
    images: int
    unsettled: int


class Slices:
    """In the whole's ledger: into what it is cut, and which of it is merged."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    @property
    def is_cut(self) -> bool:
        """Whether the collection is cut, be it that all slices are merged."""
        return self._facts.get(CUT) is not None

    @property
    def version(self) -> str | None:
        """Version of this program that has made the cut; None where there is none."""
        cut: dict[str, str] | None = self._facts.get(CUT)
        return cut["version"] if cut else None

    @property
    def cut_id(self) -> str | None:
        """What tells this cut from others; None where there is none."""
        cut: dict[str, str] | None = self._facts.get(CUT)
        return cut["id"] if cut else None

    @property
    def is_slice(self) -> bool:
        """Whether this ledger is that of a slice."""
        return self._facts.get(OF_CUT) is not None

    @property
    def number(self) -> int:
        """Which slice this ledger is of; 0 where it is a whole's."""
        of_cut: dict[str, int] = self._facts.get(OF_CUT, {})
        return of_cut.get("number", 0)

    @property
    def begun(self) -> Balance:
        """What had become of the images of the slice that this ledger is of, when it was made."""
        return Balance(**self._facts.get(BEGUN, {}))

    @property
    def witnesses(self) -> list[str]:
        """Return ids of a few images that the whole had when the slice of this ledger was made."""
        ids: list[str] = self._facts.get(WITNESSES, [])
        return ids

    @property
    def ended(self) -> int | None:
        """With which exit code the slice that this ledger is of has ended, if it has."""
        code: int | None = self._facts.get(_ENDED)
        return code

    def set_ended(self, exit_code: int) -> None:
        """Note that the slice that this ledger is of has ended."""
        self._facts.set(**{_ENDED: exit_code})

    @property
    def renewed(self) -> int:
        """How often the URLs of the whole were renewed, as far as this ledger has them."""
        times: int = self._facts.get(RENEWED, 0)
        return times

    def set_renewed(self) -> None:
        """Note that the URLs of the whole, whose ledger this is, were renewed."""
        self._facts.add(RENEWED, 1)

    @property
    def wants_urls(self) -> bool:
        """Whether the slice that this ledger is of waits for the whole's URLs to be renewed."""
        return bool(self._facts.get(_WANTS_URLS))

    def set_wants_urls(self) -> None:
        """Note that it does."""
        self._facts.set(**{_WANTS_URLS: True})

    def set_has_urls(self, renewed: int) -> None:
        """Note that this ledger, that of a slice, has the URLs of the whole's last renewal."""
        self._facts.set(**{RENEWED: renewed, _WANTS_URLS: False})

    @property
    def has_files(self) -> bool:
        """Whether the files of its days are with the slice that this ledger is of."""
        return bool(self._facts.get(_FILES_TAKEN))

    def set_files_taken(self) -> None:
        """Note that they are."""
        self._facts.set(**{_FILES_TAKEN: True})

    @property
    def is_plain(self) -> bool:
        """Whether it may be cut once all is listed: a plain crawl's ledger that is not cut.

        That has no update, and nothing that was adopted, lost or removed.
        """
        if self.is_cut or any(self._facts.get(name) for name in _ODD_FACTS):
            return False
        odd: int = self._database.value(
            "SELECT EXISTS (SELECT 1 FROM found) OR EXISTS (SELECT 1 FROM pieces "
            f"WHERE state NOT IN ({PieceState.WRITING:d}, {PieceState.SEALED:d}))"
        )
        return not odd

    def may_be_cut(self, size: int) -> bool:
        """Say whether all is listed, and enough is unsettled for several slices of that size."""
        if self._facts.get("listing_closed_at") is None or not self.is_plain:
            return False
        unsettled: int = self._database.value(
            f"SELECT images FROM balance WHERE state = {State.UNSETTLED:d}"
        )
        return unsettled > size and len(self._division(size)) > 1

    def cut(self, size: int, version: str, **fixed: Any) -> int:
        """Cut into slices of about `size` unsettled images, and return how many there are.

        Their numbers go on behind those of an earlier cut. `fixed` are facts that hold for all
        slices from now on.
        """
        cut = uuid.uuid4().hex
        with self._database.transaction():
            first: int = self._database.value("SELECT coalesce(max(number), 0) + 1 FROM slices")
            slices = list(enumerate(self._division(size), first))
            self._database.executemany(
                "INSERT INTO slices (number, cut, first_day, last_day, images) "
                "VALUES (?, ?, ?, ?, ?)",
                ((number, cut, *days[:3]) for number, days in slices),
            )
            self._facts.set(**{CUT: {"id": cut, "version": version}}, **fixed)
            self.ensure_sum()
        return len(slices)

    def _division(self, size: int) -> list[_Days]:
        """Return days together: at most a quarter more unsettled images than `size`, or one day.

        As alike as whole days allow, not full ones and what is left: a small one costs a start
        like the others, and whoever has several at work waits for the last.
        """
        rows = self._database.execute(
            f"SELECT day, count(*), sum(state = {State.UNSETTLED:d}) FROM images "
            "WHERE day IS NOT NULL GROUP BY day ORDER BY day"
        ).fetchall()
        most, total = size * 5 // 4, sum(unsettled for *_, unsettled in rows)
        count = max(2, round(total / size), len(_together(rows, most)))
        least = bisect_left(range(most), -count, key=lambda bound: -len(_together(rows, bound)))
        return _together(rows, least)

    def all(self) -> list[Slice]:
        """Return the slices of the cut in order; open ones may have ended in their own ledger."""
        if not self.is_cut:
            return []
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM slices WHERE cut = ? ORDER BY number",
            (self._facts.get(CUT)["id"],),
        )
        return [_slice(*row) for row in rows]

    def unmerged(self) -> list[Slice]:
        """Return the slices of the cut whose rows are not here again."""
        return [each for each in self.all() if each.state is not SliceState.MERGED]

    def find(self, number: int) -> Slice | None:
        """Return a slice, be it of an earlier cut."""
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM slices WHERE number = ?", (number,)
        ).fetchone()
        return _slice(*row) if row else None

    def every(self) -> list[Slice]:
        """Return all slices that ever were, those of earlier cuts too, in order."""
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM slices ORDER BY number")
        return [_slice(*row) for row in rows]

    def days(self) -> list[str]:
        """Return all days of the slice that this ledger is of."""
        return [row[0] for row in self._database.execute("SELECT day FROM days ORDER BY day")]

    def set_merged(self, number: int, *, has_ended: bool) -> None:
        """Note that the rows of a slice are here again: it had none of its own, or has no more."""
        merged = _MERGED if has_ended else _MERGED_EARLY
        self._database.execute("UPDATE slices SET merged = ? WHERE number = ?", (merged, number))

    def all_had_ended(self) -> bool:
        """Say whether all slices of the cut had ended that are merged."""
        cut = self._facts.get(CUT)
        early: int = self._database.value(
            "SELECT count(*) FROM slices WHERE cut = ? AND merged = ?",
            (cut and cut["id"], _MERGED_EARLY),
        )
        return not early

    def forget_cut(self) -> None:
        """Be whole again: with slices that had not ended, to be cut anew, or finished."""
        if self.is_cut:
            self._facts.set(**{CUT: None})

    def set_not_cut(self) -> None:
        """Note that the collection, whose ledger this is, is not to be cut again."""
        self._facts.set(**{_NOT_CUT: True})

    def largest(self, size: int) -> int:
        """Return how many unsettled images the largest slice of about that size would have."""
        return max((days.unsettled for days in self._division(size)), default=0)

    def ensure_sum(self) -> None:
        """Raise `SliceMismatch` where the slices have not just the images that are listed."""
        listed: int = self._database.value(
            f"SELECT sum(images) FROM balance WHERE state <> {State.OUTSIDE:d}"
        )
        of_slices = sum(each.images for each in self.all())
        if self.is_cut and of_slices != listed:
            raise SliceMismatch(
                f"the slices have {of_slices:,} images, listed are {listed:,}; nothing is lost, "
                "but please report this"
            )


def _slice(number: int, images: int, first: str, last: str, merged: int) -> Slice:
    state = SliceState.MERGED if merged else SliceState.OPEN
    return Slice(number, images, first, last, state)


def _together(rows: Iterable[tuple[str, int, int]], most: int) -> list[_Days]:
    """Return neighbouring days together, each as many as have `most` unsettled images, or one.

    A row is a day, its listed and its unsettled images.
    """
    found: list[_Days] = []
    for day, images, unsettled in rows:
        days = found[-1] if found else None
        if days and not (days.unsettled and unsettled and days.unsettled + unsettled > most):
            together = days.unsettled + unsettled
            found[-1] = _Days(days.first, day, days.images + images, together)
        else:
            found.append(_Days(day, day, images, unsettled))
    return found
