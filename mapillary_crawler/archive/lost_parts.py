"""What a finished collection lacks at a glance: names and sizes, without reading a file."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import is_summed
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import HERE, Piece
from mapillary_crawler.terminal.program import program_name

#: Parts that are named one by one.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LostPart:
    """A file that the ledger has and that is not here, or has another size than when made."""

    name: str
    is_missing: bool

    @property
    def what(self) -> str:
        """What is the matter with it, in a word or two."""
        return "missing" if self.is_missing else "another size"


def lost_parts(folder: Path, ledger: Ledger) -> list[LostPart]:
    """Return which tars and manifests of a finished collection are missing, or of another size.

    Those that were removed here after their upload are not lost. Nothing is opened, and no link
    followed: one in a file's place counts as missing.
    """
    if ledger.update.is_on:  # in staging, while its files are in the store
        return []
    found = []
    for piece in ledger.pieces.all():
        if piece.state in HERE and is_summed(piece.name):
            size = _size(folder, piece)
            if size is None or piece.size not in (None, size):
                found.append(LostPart(piece.name, size is None))
    return found


def _size(folder: Path, piece: Piece) -> int | None:
    """Return the bytes of a file, None where there is none."""
    try:
        status = descent.status(folder, piece.name)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def told(parts: Sequence[LostPart]) -> str:
    """Return what is lost, in words: some of the names, and how many there are."""
    names = [f"{part.name} ({part.what})" for part in parts[:_NAMED]]
    more = len(parts) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def lacks(folder: Path, parts: Sequence[LostPart]) -> str:
    """Return what is said of a collection that has lost something: what, and what mends it."""
    return f"lacks {told(parts)}; {mend_with(folder)}"


def mend_with(folder: Path) -> str:
    """Return what to type to mend a collection."""
    return f"mend it with: {program_name()} repair {shlex.quote(folder.name)}"
