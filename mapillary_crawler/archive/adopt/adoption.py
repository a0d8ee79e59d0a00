"""The adoption itself: a new collection in staging, into which what is there is moved.

It is begun in `.adopting-NAME` in staging: nothing that came with the folder can be taken for
state of this program. The ledger gets its name once it is whole; until then the folder is as it
was. From then on an adoption that was killed only goes on with moving.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mapillary_crawler.archive.adopt.adopted_ledger import AdoptedLedger
from mapillary_crawler.archive.adopt.findings import Findings
from mapillary_crawler.archive.adopt.foreign_folder import ForeignFolder, collection_of
from mapillary_crawler.archive.adopt.moves import move_in
from mapillary_crawler.archive.finish.manifests import write_manifests
from mapillary_crawler.archive.finish.meta import write_meta
from mapillary_crawler.archive.finish.sums import write_sums
from mapillary_crawler.archive.finish.tags import Contents
from mapillary_crawler.archive.finish.thumbnail import write_thumbnail
from mapillary_crawler.archive.finish.work import Work, require_space
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.durable import exists, sync_folder
from mapillary_crawler.collection.layout import (
    ADOPTED,
    ADOPTION,
    LEDGER_PATH,
    META,
    STATE,
    adopting,
)
from mapillary_crawler.collection.limits import META_BYTES
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.terminal.work_display import WorkDisplay


def adopt(
    path: Path,
    staging: Path,
    say: Callable[[str], None],
    shown: WorkDisplay,
    *,
    walk: bool = True,
) -> tuple[Path, Balance, list[str]]:
    """Take a folder over into `staging`, with its listing open.

    `shown` hears of its bytes; `walk`: as of `judge`.

    Returns where it is now, its balance, and what that tool lost, as lines for people.
    Raises `Refused`, `DiskFull`, and `OSError`.
    """
    collection = collection_of(path)
    target, place = staging / collection.name, adopting(staging / collection.name)
    if exists(target):
        raise _refused(f"{target} is being crawled already; finish that one, or move it away")
    if _is_whole(place):
        _refuse_another(path, place)
        findings = Findings.read(place / ADOPTION)
    else:
        findings = _begin(ForeignFolder(path), place, say, shown, walk=walk)
    for name in move_in(path, place):
        say(f"{path / name} is a link or a special file; it is left where it is")
    balance = _write_manifests(collection, place, say)
    place.rename(target)
    sync_folder(staging)
    return target, balance, findings.lines()


def _is_whole(place: Path) -> bool:
    try:
        return descent.is_file(place.parent, f"{place.name}/{LEDGER_PATH}")
    except FileNotFoundError:
        return False


def _refuse_another(path: Path, place: Path) -> None:
    """Refuse another folder of that name than the one whose adoption was interrupted."""
    ledger = Ledger(place / LEDGER_PATH)  # what a kill left in its journal is to be read, too
    try:
        source = ledger.facts.get("adopted")["folder"]
    finally:
        ledger.close()
    if source != str(path):
        raise _refused(f"the adoption of {source} was interrupted; adopt that one first")


def _begin(
    folder: ForeignFolder,
    place: Path,
    say: Callable[[str], None],
    shown: WorkDisplay,
    *,
    walk: bool,
) -> Findings:
    """Look at everything and make the ledger; what was refused leaves nothing."""
    if folder.path.stat().st_dev != place.parent.stat().st_dev:
        raise _refused(
            f"{folder.path} is on another file system than {place.parent}; move it into the "
            "store first, or set MAPILLARY_STAGING to a folder beside it"
        )
    descent.clear(place.parent, place.name)
    older = sum(tar.path.stat().st_size for tar in folder.tars() if tar.day is None)
    require_space(place.parent, older, "the images in tars that are not of days")
    for name in folder.clutter:
        say(f"{folder.path / name} is none of the collection's: left by a desktop")
    with descent.opened_folder(place.parent, f"{place.name}/{STATE}", make=True):
        pass
    try:
        with Findings(place / ADOPTION) as findings:
            AdoptedLedger(folder, place, say, shown, walk=walk).build(findings)
    except Refused:
        descent.clear(place.parent, place.name)
        raise
    return findings


def _write_manifests(collection: Collection, place: Path, say: Callable[[str], None]) -> Balance:
    """Write manifests and `.meta` of what is there so far."""
    _keep_scanner(place)
    ledger = Ledger(place / LEDGER_PATH)
    work = Work(LedgerHere(ledger), place, lambda: False, say)
    try:
        work.make_scratch()
        balance, days = ledger.images.balance(), ledger.days.all()
        write_manifests(work)
        write_thumbnail(work)
        tar = bool(ledger.facts.get("tar"))
        adopted = ledger.facts.get("adopted")
        write_meta(work, Contents(collection, balance, days, tar, adopted=adopted))
        write_sums(work)
    finally:
        work.jpeg_of.close()
        work.clear_scratch()
        ledger.close()
    return balance


def _keep_scanner(place: Path) -> None:
    """Leave in `.meta` that that tool was the one that saved."""
    scanner = f"{ADOPTED}/{META}/scanner/0"
    try:
        value = descent.read(place, scanner, META_BYTES)
    except FileNotFoundError:
        return
    # Numbers 0 and 1 are this program's and the encoder's.
    ours = place / META / "scanner" / "2"
    ours.parent.mkdir(parents=True, exist_ok=True)
    ours.write_bytes(value)


def _refused(message: str) -> Refused:
    return Refused(Outcome.REFUSED, message)
