"""What an update of a large collection costs, which the service has nearly unchanged."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from bench import report
from bench.measured import run
from bench.places import RESULTS
from bench.resume import pages
from bench.tools import USERNAME, crawl_command, crawl_environment
from mapillary_crawler.collection.layout import LEDGER_PATH, tar_name
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DayState, PieceState, StoredFile
from mapillary_crawler.sandbox.process import Sandbox

_NEW = 10
_COLLECTION = Collection(USERNAME, "256")
_LISTED = b"The listing is complete"
_OPENED = b"Spider opened"


def update(known: int) -> None:
    """Print what a known row costs the listing, and the memory of the whole update."""
    users = [{"username": USERNAME, "images": known + _NEW, "days": 365.0, "late": _NEW}]
    RESULTS.mkdir(exist_ok=True)
    store = Path(tempfile.mkdtemp(prefix="update-", dir=RESULTS))
    spent: dict[bytes, float] = {}

    def look(pid: int) -> bool:
        said = (RESULTS / "update.log").read_bytes()
        for words in (_OPENED, _LISTED):
            if words in said:
                spent.setdefault(words, processor(pid))
        return False

    try:
        with Sandbox.running(users) as sandbox:
            _make(store / _COLLECTION.name, sandbox, known)
            sandbox.reset()
            sandbox.set_faults({"api": {"appear_after": 0}})
            command = [*crawl_command("256"), "-aupdate=1"]
            done = run("update", command, crawl_environment(sandbox, store), look)
            asked = sandbox.counters()["images"]["total"]
    finally:
        shutil.rmtree(store)
    if asked != _NEW:
        raise RuntimeError(f"{asked} images were asked for, {_NEW} are new")
    microseconds = (spent[_LISTED] - spent[_OPENED]) / known * 1e6
    report.line(
        f"Update with {known:,} known and {_NEW} new rows: {microseconds:.1f} µs of processor a "
        f"known row (wanted: 50 µs), {done.memory / 1e6:.0f} MB at most (wanted: 250 MB), "
        f"{done.wall:.0f} s in all."
    )


def processor(pid: int) -> float:
    """Return the seconds of processor that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _make(folder: Path, sandbox: Sandbox, known: int) -> None:
    """Make a collection whose tars are all on archive.org, which is its ledger alone."""
    path = folder / LEDGER_PATH
    path.parent.mkdir(parents=True)
    ledger = Ledger(path)
    digest = hashlib.sha256().digest()
    cursor, listed = None, 0
    for rows in pages(sandbox, USERNAME, known):
        following = f"made{listed}"
        ledger.listing.commit(cursor, following, rows)
        numbers = range(listed + 1, listed + len(rows) + 1)
        ledger.images.save([StoredFile(n, "jpg", digest, digest, 15_000) for n in numbers])
        cursor, listed = following, listed + len(rows)
    ledger.listing.commit(cursor, None, [])
    ledger.listing.close()
    for day in ledger.days.all():
        number = ledger.pieces.start_tar(tar_name(day, 0), day, 0)
        ledger.pieces.written(number, size=10_240, sha256=digest, md5=digest[:16])
        images = ledger.database.execute("SELECT number FROM images WHERE day = ?", (day,))
        ledger.pieces.seal_tar(number, [(image, 512) for (image,) in images.fetchall()])
        ledger.pieces.set_state(tar_name(day, 0), PieceState.REMOVED, _COLLECTION.name)
        ledger.days.set_state(day, DayState.SEALED)
    ledger.facts.set(
        username=USERNAME, quality="256", webp=False, jxl=False, tar=True, finished_at=1.0
    )
    ledger.close()
