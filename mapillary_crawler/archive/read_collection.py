"""What a collection holds, for those who only read it: by its ledger, or else by its manifests."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mapillary_crawler.archive.finish.manifest_reader import manifest_lines
from mapillary_crawler.archive.finish.rebuild import rebuild_ledger
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.reading import refuse_cut
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import CHECKSUMS, LEDGER_PATH, METADATA
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import Outcome, ProjectError, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.terminal.program import program_name


@contextmanager
def read_collection(folder: Path) -> Iterator[Ledger]:
    """Give the ledger of a collection; where it has none, one that is made of its manifests.

    That one lies in a temporary folder, and goes with the context. It knows of tars what the
    manifests say, not whether they are there. Raises `Refused` where nothing says what the
    collection holds, or what says it cannot be read, and of one that is cut into slices, which say
    it; `NotFollowed`.
    """
    if descent.is_file(folder, str(LEDGER_PATH)):
        refuse_cut(folder)
        try:
            ledger = read_ledger(folder)
        except (sqlite3.Error, ProjectError) as error:
            message = f"{folder}: the ledger cannot be read: {error}"
            raise Refused(getattr(error, "outcome", Outcome.ERROR), message) from None
        with closing(ledger):
            yield ledger
        return
    for name in (METADATA, CHECKSUMS):
        if not descent.is_file(folder, name):
            raise Refused(
                Outcome.REFUSED,
                f"{folder} has neither a ledger nor {name}: it is no collection of this program; "
                f"one of mapillary_downloader can be taken over: {program_name()} adopt FOLDER",
            )
    with tempfile.TemporaryDirectory(prefix="mapillary-ledger-") as place:
        path = Path(place, LEDGER_PATH.name)
        try:
            rebuild_ledger(folder, path, Collection("-"), tar=_has_tars(folder), read_files=False)
        except (ProjectError, sqlite3.IntegrityError) as error:
            raise Refused(Outcome.ERROR, f"{folder}: {error}") from None
        with closing(Ledger(path, read_only=True)) as ledger:
            yield ledger


def _has_tars(folder: Path) -> bool:
    """Say whether the first image of the manifests is in a tar: then all are."""
    try:
        fields = json.loads(next(manifest_lines(folder, CHECKSUMS), b"{}"))
        return isinstance(fields, dict) and isinstance(fields.get("tar"), str)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise Refused(Outcome.ERROR, f"{folder}: {CHECKSUMS} cannot be read: {error}") from None
