"""The adoption itself: a ledger for what is there, manifests, and the folder into staging.

The ledger gets its name once it is whole, and the folder moves last, so that an adoption
that was killed is begun again, or only moved.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from mapillary_crawler.archive.adopt.adopted_ledger import AdoptedLedger
from mapillary_crawler.archive.adopt.findings import Findings
from mapillary_crawler.archive.adopt.foreign_folder import ForeignFolder
from mapillary_crawler.archive.finish.manifests import write_manifests
from mapillary_crawler.archive.finish.meta import write_meta
from mapillary_crawler.archive.finish.sums import write_sums
from mapillary_crawler.archive.finish.tags import Contents
from mapillary_crawler.archive.finish.thumbnail import write_thumbnail
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger

#: Where that tool's own files go: kept, and never published.
_KEPT = Path(".crawl/adopted")


def adopt(
    folder: ForeignFolder, staging: Path, say: Callable[[str], None]
) -> tuple[Path, Balance, list[str]]:
    """Take a folder over into `staging`, with its listing open.

    Returns where it is now, its balance, and what that tool lost, as lines for people.
    Raises `Refused`, and `OSError`.
    """
    target = staging / folder.collection.name
    _refuse_target(folder, target)
    crawl = folder.path / LEDGER_PATH.parent
    crawl.mkdir(exist_ok=True)
    found = crawl / "adoption.jsonl"
    if folder.is_adopted:
        findings = Findings.read(found)
    else:
        with Findings(found) as findings:
            AdoptedLedger(folder, say).build(findings)
    balance = _write_manifests(folder, say)
    folder.path.rename(target)
    sync_folder(target.parent)
    return target, balance, findings.lines()


def _refuse_target(folder: ForeignFolder, target: Path) -> None:
    if target.exists():
        raise Refused(
            Outcome.REFUSED,
            f"{target} is being crawled already; finish that one, or move it away",
        )
    if folder.path.stat().st_dev != target.parent.stat().st_dev:
        raise Refused(
            Outcome.REFUSED,
            f"{folder.path} is on another file system than {target.parent}; move it into the "
            "store first, or set MAPILLARY_STAGING to a folder beside it",
        )


def _write_manifests(folder: ForeignFolder, say: Callable[[str], None]) -> Balance:
    """Write manifests and `.meta` of what is there so far; that tool's own are kept aside."""
    _keep_own_files(folder)
    ledger = Ledger(folder.path / LEDGER_PATH)
    work = Work(ledger, folder.path, lambda: False, say)
    try:
        work.scratch.mkdir(exist_ok=True)
        balance, days = ledger.images.balance(), ledger.days.all()
        write_manifests(work)
        write_thumbnail(work)
        tar = bool(ledger.facts.get("tar"))
        adopted = ledger.facts.get("adopted")
        write_meta(work, Contents(folder.collection, balance, days, tar, adopted=adopted))
        write_sums(work)
    finally:
        shutil.rmtree(work.scratch, ignore_errors=True)
        ledger.close()
    return balance


def _keep_own_files(folder: ForeignFolder) -> None:
    """Move that tool's files aside, and leave in `.meta` that it was the one that saved."""
    kept = folder.path / _KEPT
    for path in folder.own_files():
        target = kept / path.name
        if not target.exists():
            kept.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    scanner = kept / ".meta" / "scanner" / "0"
    if scanner.is_file():
        # Numbers 0 and 1 are this program's and the encoder's.
        ours = folder.path / ".meta" / "scanner" / "2"
        ours.parent.mkdir(parents=True, exist_ok=True)
        ours.write_text(scanner.read_text(encoding="utf-8"), encoding="utf-8")
