"""Ledgers whose writer was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger

#: Writes to a ledger, and is killed in the middle: once with a WAL, once with a rollback journal.
KILLED = """
import os, signal, sys
from pathlib import Path
from mapillary_crawler.ledger.ledger import Ledger
path, wal = Path(sys.argv[1]), sys.argv[2] == "wal"
ledger = Ledger(path, wal=wal)
ledger.facts.set(before=1)
if not wal:
    ledger.database.execute("PRAGMA cache_size = 1")
    with ledger.database.transaction():
        ledger.database.execute("INSERT INTO pages (rows) VALUES (zeroblob(100000))")
        ledger.facts.set(before=2)
        ledger.database.execute("INSERT INTO pages (rows) VALUES (zeroblob(100000))")
        os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path, how: str) -> Path:
    """Return the ledger of a collection whose writer was killed: with a "wal" or a "journal"."""
    path = folder / LEDGER_PATH
    path.parent.mkdir(parents=True)
    Ledger(path).close()
    kill_writer(path, how)
    return path


def kill_writer(path: Path, how: str) -> None:
    """Leave a ledger as a writer does that is killed: with a "wal" or a "journal"."""
    subprocess.run([sys.executable, "-c", KILLED, str(path), how], check=False)
    left = {"wal": "ledger.sqlite-wal", "journal": "ledger.sqlite-journal"}[how]
    assert (path.parent / left).stat().st_size
