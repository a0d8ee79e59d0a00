"""SHA256SUMS: what `sha256sum -c` reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mapillary_crawler.archive.finish.manifests import record
from mapillary_crawler.archive.finish.tree import recorded
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import WholeFile
from mapillary_crawler.collection.layout import SUMS, is_summed
from mapillary_crawler.collection.limits import lines


def write_sums(work: Work) -> None:
    """Write the checksums of the collection's files from the ledger, in bytewise path order."""
    with WholeFile(work.folder / SUMS, work.scratch) as file:
        for path, sha256 in recorded(work):
            work.check_stop()
            if is_summed(path):
                file.write(f"{sha256.hex()}  {path}\n".encode())
    record(work, file)


def read_sums(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and sha256 of each line of a SHA256SUMS."""
    with os.fdopen(descent.open_file(path.parent, path.name), "rb") as file:
        for line in lines(file):
            digest, _, name = line.decode().rstrip("\n").partition("  ")
            yield name, bytes.fromhex(digest)
