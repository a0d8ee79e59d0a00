"""Pure: which file of a collection goes into which item.

A collection that exceeds the limits of an item is split by date. The first volume has the
bare identifier, everything that is no tar, and the earliest days. What has an item keeps it
for ever, so that later additions find their place without moving anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mapillary_crawler.archive.internet_archive.identifier import volume_identifier
from mapillary_crawler.ledger.records import Piece


@dataclass(slots=True)
class _Load:
    size: int = 0
    files: int = 0

    def add(self, piece: Piece) -> None:
        self.size += piece.size or 0
        self.files += 1


def volumes(
    pieces: Sequence[Piece], identifier: str, *, max_bytes: int, max_files: int, to_come: int = 0
) -> dict[str, int]:
    """Return the volume of each piece, by its name.

    The first one keeps room for so many files `to_come`.

    A tar that has none yet goes where its day is, else into the last volume, else into a new
    one; always the first of these that has room. A tar larger than an item may be gets a volume
    of its own.
    """
    result = {piece.name: volume_number(piece.item, identifier) for piece in pieces if piece.item}
    result |= {piece.name: 1 for piece in pieces if piece.day is None and not piece.item}
    loads = {1: _Load(files=to_come)}
    of_day: dict[str, int] = {}
    for piece in pieces:
        if piece.name in result:
            loads.setdefault(result[piece.name], _Load()).add(piece)
            if piece.day:
                of_day[piece.day] = max(result[piece.name], of_day.get(piece.day, 1))
    for piece in _by_date(piece for piece in pieces if piece.name not in result):
        assert piece.day is not None
        last = max(loads)
        volume = next(
            (
                number
                for number in (of_day.get(piece.day, last), last)
                if loads[number].size + (piece.size or 0) <= max_bytes
                and loads[number].files < max_files
            ),
            last if not loads[last].files else last + 1,
        )
        loads.setdefault(volume, _Load()).add(piece)
        result[piece.name] = of_day[piece.day] = volume
    return result


def volume_number(item: str, identifier: str) -> int:
    """Return the number of a volume of this collection; ValueError if it is none."""
    if item == identifier:
        return 1
    stem, _, number = item.rpartition("-vol")
    if stem != identifier or not number.isdigit() or volume_identifier(stem, int(number)) != item:
        raise ValueError(f"{item} is no volume of {identifier}")
    return int(number)


def _by_date(tars: Iterable[Piece]) -> list[Piece]:
    """Return tars by day and part; `unknown-date` sorts behind every date."""
    return sorted(tars, key=lambda tar: (tar.day or "", tar.part or 0))
