"""What a collection lacks, and what would mend it; nothing is changed here."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mapillary_crawler.archive.lost_parts import LostPart, lost_parts
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.repair.identity import is_ours
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sha256_of
from mapillary_crawler.collection.layout import LEDGER_PATH, SUMS, TAR
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import HERE
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.ledger.trouble import is_of_the_disk
from mapillary_crawler.terminal.work_display import WorkDisplay


class LedgerState(Enum):
    """How a collection's ledger is; the value is said to people."""

    WELL = "is well"
    MISSING = "is missing"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found of a folder.

    `finished`: it was complete; `is_listed`: something was listed. `lost` are the files that it
    lacks, where the ledger is well; of one in the making only tars.
    """

    ledger: LedgerState
    finished: bool
    is_listed: bool = False
    tar: bool | None = None
    lost: tuple[LostPart, ...] = ()


def diagnose(folder: Path) -> Diagnosis:
    """Look at a folder; raises `Refused` where it is none of ours, `OSError`, `LedgerTrouble`."""
    if not (_has_state(folder) and descent.is_file(folder, str(LEDGER_PATH))):
        return Diagnosis(LedgerState.MISSING, _has_all_manifests(folder))
    try:
        with closing(read_ledger(folder, locked=True)) as ledger:
            if ledger.is_sound():
                return _diagnosis(folder, ledger)
    except LedgerTooNew as error:
        raise Refused(Outcome.REFUSED, f"{folder}: {error}") from None
    except sqlite3.DatabaseError as error:
        if is_of_the_disk(error):
            raise
    return Diagnosis(LedgerState.UNREADABLE, _has_all_manifests(folder))


def _diagnosis(folder: Path, ledger: Ledger) -> Diagnosis:
    finished = ledger.facts.get("finished_at") is not None
    lost = (part for part in lost_parts(folder, ledger) if finished or part.name.endswith(TAR))
    listed = ledger.images.listed() > 0
    return Diagnosis(LedgerState.WELL, finished, listed, ledger.facts.get("tar"), tuple(lost))


def changed_tars(folder: Path, shown: WorkDisplay) -> set[str]:
    """Return the names of tars that are here and do not match their checksums; reads them all."""
    with closing(read_ledger(folder, locked=True)) as ledger:
        tars = [piece for piece in ledger.pieces.all() if piece.day and piece.state in HERE]
    shown.begin("comparing", len(tars), sum(tar.size or 0 for tar in tars))
    changed = set()
    for tar in tars:
        shown.begin_file(tar.name, tar.size or 0)
        with suppress(OSError):
            if sha256_of(folder / tar.name, shown.advance) != tar.sha256:
                changed.add(tar.name)
        shown.end_file()
    return changed


def _has_state(folder: Path) -> bool:
    return (folder / LEDGER_PATH.parent).is_dir()


def _has_all_manifests(folder: Path) -> bool:
    """Say whether a collection was finished, without its ledger: SHA256SUMS is written last."""
    return descent.is_file(folder, SUMS) and is_ours(folder)
