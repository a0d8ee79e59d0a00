"""The viewer's index of a collection: found in the user's cache, or made of what is there."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from mapillary_crawler.archive.browse.filling import Filling
from mapillary_crawler.archive.read_collection import read_collection
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import (
    CHECKSUMS,
    LEDGER_PATH,
    LEDGER_WAL,
    METADATA,
    SUMS,
)
from mapillary_crawler.collection.limits import SUMS_BYTES
from mapillary_crawler.collection.names import (
    unescape,
    user_and_quality,
)
from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.viewer_index import IndexWriter
from mapillary_crawler.ledger.viewer_questions import NoIndex, ViewerIndex

#: Seconds after which an index that nobody opened goes.
_KEPT = 90 * 86_400

#: What an index is made of, as what it was made of is compared.
Identity = list[Any]


def cache_folder() -> Path:
    """Return where the user's system wants the indexes (on Linux: below XDG_CACHE_HOME)."""
    return user_cache_path("mapillary_crawler") / "viewer"


def clear_old(cache: Path) -> None:
    """Remove indexes that nobody has opened for long, and what a kill has left of others."""
    with suppress(OSError):
        for path in cache.iterdir():
            age = time.time() - path.lstat().st_mtime
            if age > (_KEPT if path.suffix == ".sqlite" else 86_400):
                path.unlink()


def identity(folder: Path) -> Identity:
    """Return what changes where the collection does: sizes and times of what says what it holds.

    A WAL without content says nothing: SQLite makes one where somebody reads.
    """
    found: Identity = [str(folder.resolve())]
    for name in (str(LEDGER_PATH), str(LEDGER_WAL), METADATA, CHECKSUMS):
        try:
            status = descent.status(folder, name)
            found.append([status.st_size, status.st_mtime_ns] if status.st_size else None)
        except OSError:
            found.append(None)
    try:
        found.append(hashlib.sha256(descent.read(folder, SUMS, SUMS_BYTES)).hexdigest())
    except OSError:
        found.append(None)
    return found


def open_index(folder: Path, cache: Path) -> ViewerIndex | None:
    """Return the index of a collection as it is now, None where it is to be made."""
    path = index_path(folder, cache)
    try:
        index = ViewerIndex(path)
    except NoIndex:
        return None
    if index.facts.get("identity") != identity(folder):
        index.close()
        return None
    with suppress(OSError):
        os.utime(path)
    return index


def index_path(folder: Path, cache: Path) -> Path:
    """Return where the index of a collection is, or would be."""
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return cache / f"{digest[:32]}.sqlite"


def make_index(
    folder: Path,
    cache: Path,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> ViewerIndex:
    """Make the index of a collection and open it; `say` hears how far it is.

    Raises `Refused` where nothing says what the collection holds, `RunStopped`, `OSError`,
    `sqlite3.Error`, and for a stranger's ledger TypeError and ValueError.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = identity(folder)  # before: what changes meanwhile is noticed at the next opening
    path = index_path(folder, cache)
    with read_collection(folder) as ledger, IndexWriter(path) as writer:
        has_ledger = told[1] is not None
        Filling(ledger, writer, say, stop, has_ledger=has_ledger).run(folder.name)
        writer.set_facts(identity=told, has_ledger=has_ledger, **_facts(folder, ledger, has_ledger))
    try:
        return ViewerIndex(path)
    except NoIndex:
        raise OSError(f"{path} cannot be read though it was just made") from None


def _facts(folder: Path, ledger: Ledger, has_ledger: bool) -> dict[str, Any]:
    """Return what the ledger counts, and whose images they are."""
    balance = ledger.images.balance()
    parts = user_and_quality(folder.name)
    username = ledger.facts.get("username") if has_ledger else None
    if not isinstance(username, str):
        username = (unescape(parts[0]) or parts[0]) if parts else folder.name
    return {
        "username": image_fields.text(username),
        "quality": parts[1] if parts else None,
        "saved": balance.saved,
        "gone": balance.gone,
        "unavailable": balance.unavailable,
        "failed": balance.failed + balance.left,
        "finished": not has_ledger or ledger.facts.get("finished_at") is not None,
    }
